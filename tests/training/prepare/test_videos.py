from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from inkling.models.networks import FrameConfig
from inkling.models.resize import fit_image
from inkling.models.video import VideoReader, to_rgb
from inkling.training.data.frame_dataset import read
from inkling.training.errors import DataError
from inkling.training.prepare import urfall
from inkling.training.prepare.content_cache import BrokenVideo
from inkling.training.prepare.decode import Plan, decoded
from inkling.training.prepare.videos import plan_of, prepare
from tests.training.videos import write_drops, write_video

PLAN = Plan(32, 40, "letterbox", 10.0)


def test_frames_are_those_of_the_shared_reader_and_the_shared_resize(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", "drop")  # 20 frames a second: every second one
    with VideoReader(path) as video:
        images = [to_rgb(frame) for _, frame in video]
    found = list(decoded(path, PLAN))
    assert len(found) == 20
    for image, fitted in zip(images[::2], found, strict=True):
        assert np.array_equal(fit_image(image, 32, 40), fitted)


def test_a_slower_video_holds_its_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", "drop", frames=10)
    found = list(decoded(path, Plan(32, 40, "letterbox", 40.0)))
    assert len(found) == 19
    assert np.array_equal(found[1], found[0])


def test_class_folders_become_a_data_set(tmp_path: Path) -> None:
    for split, label in (("train", "drop"), ("test", "drop"), ("train", "stay")):
        write_video(tmp_path / "in" / split / label / "one.mp4", label, seed=len(split))
    done = prepare(tmp_path / "in", tmp_path / "out", PLAN, workers=1)
    assert (done.recordings, done.made, done.frames) == (3, 3, 60)
    dataset = read(tmp_path / "out")
    assert sorted((r.split, r.segments[0].label) for r in dataset.recordings) == [
        ("test", "drop"), ("train", "drop"), ("train", "stay"),
    ]  # fmt: skip
    assert dataset.recordings[0].steps.shape == (20, 32, 40, 3)


def test_a_table_gives_several_segments_of_a_recording(tmp_path: Path) -> None:
    write_drops(tmp_path / "in", events=1)
    prepare(tmp_path / "in", tmp_path / "out", PLAN, workers=1)
    drop = next(r for r in read(tmp_path / "out").recordings if "drop" in r.path)
    assert [(s.start, s.stop, s.label) for s in drop.segments] == [
        (0, 10, "quiet"),
        (10, 15, "falling"),
        (15, 20, "down"),
    ]


def test_what_is_done_is_not_done_again_until_the_video_or_the_plan_changes(tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "a" / "one.mp4", "drop")
    write_video(tmp_path / "in" / "b" / "two.mp4", "stay")
    assert prepare(tmp_path / "in", tmp_path / "out", PLAN, workers=1).made == 2
    assert prepare(tmp_path / "in", tmp_path / "out", PLAN, workers=1).made == 0
    write_video(tmp_path / "in" / "b" / "two.mp4", "stay", seed=9)
    assert prepare(tmp_path / "in", tmp_path / "out", PLAN, workers=1).made == 1
    for other in (Plan(32, 48, "letterbox", 10.0), Plan(32, 40, "letterbox", 5.0)):
        assert prepare(tmp_path / "in", tmp_path / "out", other, workers=1).made == 2


def test_a_preparation_that_was_killed_goes_on_and_uses_no_half_written_array(tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "a" / "one.mp4", "drop")
    write_video(tmp_path / "in" / "b" / "two.mp4", "stay")
    prepare(tmp_path / "in", tmp_path / "out", PLAN, workers=1)
    first, second = sorted((tmp_path / "out" / "arrays").glob("*.npy"))
    expected = second.read_bytes()
    second.rename(second.with_name(f"{second.name}.{os.getpid()}.partial"))
    (tmp_path / "out" / "clips.csv").unlink()
    done = prepare(tmp_path / "in", tmp_path / "out", PLAN, workers=1)
    assert (done.recordings, done.made) == (2, 1)
    assert second.read_bytes() == expected
    assert first.exists()


def test_a_broken_video_is_fatal_or_left_out_by_choice(tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "a" / "one.mp4", "drop")
    (tmp_path / "in" / "a" / "broken.mp4").write_bytes(os.urandom(4000))
    with pytest.raises(DataError, match=r"broken\.mp4"):
        prepare(tmp_path / "in", tmp_path / "out", PLAN, workers=1)
    assert not (tmp_path / "out" / "clips.csv").exists()
    said: list[str] = []
    done = prepare(
        tmp_path / "in", tmp_path / "out", PLAN, workers=1, broken="skip", progress=lambda d, t, what: said.append(what)
    )
    assert [problem.file.name for problem in done.skipped] == ["broken.mp4"]
    assert any("broken.mp4" in line for line in said)
    assert len(read(tmp_path / "out").recordings) == 1


def test_what_is_no_video_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"")
    with pytest.raises(BrokenVideo):
        list(decoded(path, PLAN))


def test_a_frozen_extractor_keeps_features_of_each_frame(tmp_path: Path, shared_data: Path) -> None:
    weights = str(shared_data / "weights" / "mobilenet_v2_imagenet.pth")
    frames = FrameConfig(height=64, width=64, backbone="mobilenet_v2", shift=False, frozen=True, weights=weights)
    write_video(tmp_path / "in" / "a" / "one.mp4", "drop", frames=12)
    prepare(tmp_path / "in", tmp_path / "out", plan_of(frames, 10.0), workers=1)
    (recording,) = read(tmp_path / "out").recordings
    assert recording.steps.shape == (6, 1280)
    assert recording.steps.dtype == np.float32
    assert recording.steps.std() > 0.05


def test_both_cameras_of_a_fall_are_in_one_fold_and_have_its_times(shared_data: Path) -> None:
    rows = urfall.find_rows(shared_data / "urfall")
    first = [row for row in rows if row.path.startswith("fall/fall-01-")]
    assert [row.label for row in first] == ["daily", "falling", "lying"] * 2
    assert {row.group for row in first} == {"fall-01"}
    assert first[1].start_s == pytest.approx(82 / 30)
    assert first[1].end_s == pytest.approx(112 / 30)
    assert len({row.path for row in rows}) == 100
    folds = [urfall.fold_of(n) for n in range(1, 31)]
    assert [folds.count(k) for k in range(1, 6)] == [6] * 5
