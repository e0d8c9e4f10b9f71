from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.training.data.pose_dataset import read
from inkling.training.errors import DataError
from inkling.training.prepare.poses import prepare
from tests.training.support import ACTIONS, read_rows, stick_clip, write_rows, write_stick_set


def test_a_table_without_splits_gets_test_clips_by_group(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "in", train=10, test=0)
    rows = [{key: row[key] for key in ("path", "label", "group")} for row in read_rows(tmp_path / "in")]
    write_rows(tmp_path / "in", rows)
    done = prepare(tmp_path / "in", tmp_path / "out")
    assert "3 of 15 recordings are kept for testing" in done.split
    clips = read(tmp_path / "out").clips
    assert [sum(c.split == "test" and c.label == label for c in clips) for label in ACTIONS] == [2, 2, 2]
    for group in {clip.group for clip in clips}:
        assert len({clip.split for clip in clips if clip.group == group}) == 1
    source = np.load(tmp_path / "in" / "poses" / "raise3.npz")["keypoints"]
    assert np.array_equal(np.load(tmp_path / "out" / "poses" / "raise3.npz")["keypoints"], source)


def test_class_folders_of_poses_become_a_data_set(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "made", train=1, test=0)
    about = (tmp_path / "made" / "dataset.toml").read_text()
    for action in ACTIONS:
        (tmp_path / "in" / action).mkdir(parents=True)
        for i in range(5):
            np.savez(tmp_path / "in" / action / f"{i}.npz", keypoints=stick_clip(action, 12, i))
    (tmp_path / "in" / "dataset.toml").write_text(about)
    done = prepare(tmp_path / "in", tmp_path / "out")
    assert [(c.path, c.label) for c in done.dataset.clips][:2] == [("nod/0.npz", "nod"), ("nod/1.npz", "nod")]
    assert sum(clip.split == "test" for clip in done.dataset.clips) == 3
    again = prepare(tmp_path / "in", tmp_path / "out")
    assert again.rows == done.rows


def test_splits_and_spans_that_are_named_are_kept(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "in", train=4, test=1)
    rows = read_rows(tmp_path / "in")
    write_rows(tmp_path / "in", [rows[0] | {"start_s": "0.1", "end_s": "0.4"}, *rows[1:]])
    done = prepare(tmp_path / "in", tmp_path / "out")
    assert done.split == ""
    before, after = read(tmp_path / "in").clips, read(tmp_path / "out").clips
    assert [(c.split, len(c.keypoints), c.group) for c in before] == [
        (c.split, len(c.keypoints), c.group) for c in after
    ]


def test_what_cannot_be_used_is_refused(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "in", train=4, test=1)
    with pytest.raises(DataError, match="is the source itself"):
        prepare(tmp_path / "in", tmp_path / "in")
    (tmp_path / "in" / "poses" / "nod0.npz").write_bytes(b"none")
    with pytest.raises(DataError, match=r"clips\.csv:\d+: poses/nod0\.npz"):
        prepare(tmp_path / "in", tmp_path / "out")
    with pytest.raises(DataError, match="names the skeleton and the fps"):
        prepare(tmp_path / "none", tmp_path / "out")
