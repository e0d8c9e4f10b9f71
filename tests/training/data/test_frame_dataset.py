from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.training.data.frame_dataset import ClipsFile, Segment, inspect, read
from inkling.training.errors import DataError
from inkling.training.prepare.videos import write_description


def folder(root: Path, rows: list[str], *, steps: int = 20, about: ClipsFile | None = None) -> Path:
    """A prepared folder with one array `a.npy` of 8 x 10 frames at 10 Hz."""
    about = about or ClipsFile(kind="frames", rate_hz=10, height=8, width=10)
    root.mkdir()
    write_description(root, about, [])
    (root / "clips.csv").write_text("\n".join(["path,label,split,start_s,end_s,group", *rows]) + "\n")
    np.save(root / "a.npy", np.arange(steps, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 10, 3), np.uint8))
    return root


def problems(root: Path) -> list[str]:
    dataset, found = inspect(root)
    assert dataset is None
    return [str(problem) for problem in found]


def test_segments_of_a_recording_are_steps_in_order_of_time(tmp_path: Path) -> None:
    dataset = read(folder(tmp_path / "d", ["a.npy,fall,train,1.2,,g", "a.npy,quiet,train,0,1.2,g"]))
    (recording,) = dataset.recordings
    assert recording.segments == (Segment(0, 12, "quiet", 3), Segment(12, 20, "fall", 2))
    assert (recording.split, recording.group, len(recording.steps)) == ("train", "g", 20)


def test_a_time_that_was_rounded_in_the_file_still_means_its_step(tmp_path: Path) -> None:
    about = ClipsFile(kind="frames", rate_hz=30, height=8, width=10)
    dataset = read(folder(tmp_path / "d", ["a.npy,b,train,0,0.3333,"], about=about))
    assert dataset.recordings[0].segments[0].stop == 10


def test_without_times_and_group_the_whole_recording_is_a_clip_and_its_own_group(tmp_path: Path) -> None:
    (recording,) = read(folder(tmp_path / "d", ["a.npy,b,test,,,"])).recordings
    assert recording.segments == (Segment(0, 20, "b", 2),)
    assert recording.group == "a.npy"


def test_arrays_are_not_written_back(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ["a.npy,b,test,,,"])
    read(root).recordings[0].steps[:] = 7
    assert read(root).recordings[0].steps[3, 0, 0, 0] == 3


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["b.npy,x,train,,,"], "clips.csv:2: b.npy: no such file"),
        (["a.npy,x,trian,,,"], "clips.csv:2: split"),
        (["a.npy,x,train,1,1,"], "clips.csv:2: start_s 1 and end_s 1 are no span"),
        (["a.npy,x,train,1.9,,"], "a clip has at least two"),
        (["a.npy,x,train,nan,,"], "no span"),
        (["a.npy,,test,,,"], "needs a label"),
        (["../a.npy,x,train,,,"], "inside the data set's folder"),
        (["a.npy,x,train,0,1,", "a.npy,y,train,0.5,2,"], "clips.csv:3: a.npy: overlaps the segment of line 2"),
        (["a.npy,x,train,0,1,", "a.npy,y,test,1,2,"], "one split and one group"),
        (["a.npy,x,train"], "not as many fields"),
        ([], "has no clips"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, rows: list[str], reason: str) -> None:
    assert reason in "\n".join(problems(folder(tmp_path / "d", rows)))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ["b.npy,x,train,,,", "c.npy,x,train,,,"])
    with pytest.raises(DataError) as caught:
        read(root)
    assert len(caught.value.problems) == 2


def test_an_array_of_another_size_is_refused(tmp_path: Path) -> None:
    about = ClipsFile(kind="frames", rate_hz=10, height=8, width=12)
    assert "not uint8 (T, 8, 12, 3)" in problems(folder(tmp_path / "d", ["a.npy,b,train,,,"], about=about))[0]


def test_a_file_that_is_no_array_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ["a.npy,b,train,,,"])
    (root / "a.npy").write_bytes(b"not an array")
    assert "cannot be read" in problems(root)[0]


def test_a_description_with_unknown_keys_is_refused(tmp_path: Path) -> None:
    root = folder(tmp_path / "d", ["a.npy,b,train,,,"])
    (root / "dataset.toml").write_text('kind = "frames"\nrate_hz = 10\nheight = 8\nwidth = 10\nspeed = 2\n')
    assert "speed" in problems(root)[0]


def test_features_say_their_size_and_their_extractor() -> None:
    with pytest.raises(ValueError, match="dim and extractor"):
        ClipsFile(kind="features", rate_hz=10, height=8, width=10)
