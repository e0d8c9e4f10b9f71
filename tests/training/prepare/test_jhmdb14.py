from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.training.data.pose_dataset import read
from inkling.training.errors import DataError
from inkling.training.prepare.jhmdb14 import prepare


def arrays(**changes: Any) -> dict[str, Any]:
    lengths = [3, 4, 5, 2]
    fields = {
        "keypoints": np.random.default_rng(0).normal(size=(sum(lengths), 15, 2)).astype(np.float32),
        "offsets": np.cumsum([0, *lengths]),
        "labels": np.array(["clap", "clap", "clap", "wave"]),
        "split1": np.array(["train", "train", "test", "train"]),
        "split2": np.array(["train", "test", "train", "train"]),
        "split3": np.array(["test", "test", "train", "train"]),
    }
    return {name: array for name, array in (fields | changes).items() if array is not None}


def saved(root: Path, **changes: Any) -> Path:
    np.savez(root / "jhmdb.npz", **arrays(**changes))
    return root / "jhmdb.npz"


def test_clips_are_cut_at_the_offsets(tmp_path: Path) -> None:
    assert prepare(saved(tmp_path), tmp_path / "out") == 4
    dataset = read(tmp_path / "out")
    assert dataset.skeleton.name == "jhmdb15"
    assert dataset.fps == 25
    assert [(clip.label, len(clip.keypoints)) for clip in dataset.clips] == [
        ("clap", 3), ("clap", 4), ("clap", 5), ("wave", 2),
    ]  # fmt: skip
    np.testing.assert_array_equal(dataset.clips[1].keypoints[..., :2], arrays()["keypoints"][3:7])
    assert (dataset.clips[1].keypoints[..., 2] == 1).all()


@pytest.mark.parametrize("split", [1, 2, 3])
def test_each_official_split_can_be_had(tmp_path: Path, split: Any) -> None:
    prepare(saved(tmp_path), tmp_path / "out", split)
    assert [clip.split for clip in read(tmp_path / "out").clips] == list(arrays()[f"split{split}"])


def test_groups_are_the_same_in_all_splits_and_never_straddle_one(tmp_path: Path) -> None:
    source = saved(tmp_path, split2=np.array(["train", "train", "train", "train"]))
    groups = []
    for split in (1, 2, 3):
        prepare(source, tmp_path / f"out{split}", split)
        groups.append([clip.group for clip in read(tmp_path / f"out{split}").clips])
    assert groups[0] == groups[1] == groups[2]
    assert groups[0][0] == groups[0][1]
    assert len(set(groups[0])) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": None},
        {"keypoints": np.ones((14, 13, 2))},
        {"offsets": np.array([0, 3, 7, 12, 13])},
        {"offsets": np.array([0, 7, 3, 12, 14])},
        {"split3": np.array(["train"])},
        {"labels": np.array([None, None, None, None])},
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"jhmdb\.npz: "):
        prepare(saved(tmp_path, **changes), tmp_path / "out")


def test_a_file_that_is_no_npz_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(DataError, match="is no file of JHMDB-14"):
        prepare(tmp_path / "text.npz", tmp_path / "out")


def test_the_public_file_gives_the_official_split(shared_data: Path, tmp_path: Path) -> None:
    assert prepare(shared_data / "jhmdb14_pose" / "jhmdb14_pose.npz", tmp_path / "jhmdb") == 609
    dataset = read(tmp_path / "jhmdb")
    assert Counter(clip.split for clip in dataset.clips) == {"train": 433, "test": 176}
    assert len({clip.label for clip in dataset.clips}) == 14
    sides = {(clip.group, clip.split) for clip in dataset.clips}
    assert len(sides) == len({group for group, _ in sides})


def test_groups_may_be_those_of_the_videos(tmp_path: Path) -> None:
    rows = "".join(f"clap/{i}.mp4,clap/film{i // 2},{3 - i}\n" for i in range(4))
    (tmp_path / "index.csv").write_text(f"path,group,pose14_index\n{rows}other.mp4,x,\n")
    prepare(saved(tmp_path), tmp_path / "out", videos=tmp_path)
    groups = [clip.group for clip in read(tmp_path / "out").clips]
    assert groups == ["clap/film1", "clap/film1", "clap/film0", "clap/film0"]
    (tmp_path / "index.csv").write_text("path,group,pose14_index\na.mp4,x,0\n")
    with pytest.raises(DataError, match="does not give each of the 4 clips a group"):
        prepare(saved(tmp_path), tmp_path / "other", videos=tmp_path)
