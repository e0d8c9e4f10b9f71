from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from inkling.training.data.pose_dataset import read
from inkling.training.errors import DataError
from inkling.training.prepare.penn import prepare


def label_file(action: str, train: int, frames: int = 5, **changes: Any) -> bytes:
    rng = np.random.default_rng(frames)
    visibility = np.ones((frames, 13), np.uint8)
    visibility[:, 5] = 0
    fields = {
        "action": action,
        "pose": "front",
        "x": rng.uniform(1, 480, (frames, 13)),
        "y": rng.uniform(1, 270, (frames, 13)),
        "visibility": visibility,
        "train": train,
        "dimensions": np.array([270, 480, frames], np.uint16),
        "nframes": frames,
    }
    buffer = io.BytesIO()
    savemat(buffer, fields | changes)  # type: ignore[arg-type]  # the stubs know paths only
    return buffer.getvalue()


FILES = {
    "labels/0001.mat": label_file("bowl", 1),
    "labels/0002.mat": label_file("bowl", 1, 6),
    "labels/0003.mat": label_file("bowl", -1, 7),
    "labels/0004.mat": label_file("squat", -1, 8),
}


def as_folder(root: Path) -> Path:
    for name, data in FILES.items():
        path = root / "Penn_Action" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root / "Penn_Action"


def as_zip(root: Path) -> Path:
    with zipfile.ZipFile(root / "labels.zip", "w") as archive:
        for name, data in FILES.items():
            archive.writestr(Path(name).name, data)
    return root / "labels.zip"


def as_tar(root: Path) -> Path:
    with tarfile.open(root / "Penn_Action.tar.gz", "w:gz") as archive:
        archive.add(as_folder(root), "Penn_Action")
    return root / "Penn_Action.tar.gz"


@pytest.mark.parametrize("source", [as_folder, as_zip, as_tar])
def test_every_form_of_the_download_gives_the_same_clips(tmp_path: Path, source: Any) -> None:
    assert prepare(source(tmp_path), tmp_path / "out") == 4
    dataset = read(tmp_path / "out")
    assert dataset.skeleton.name == "penn13"
    assert dataset.fps == 30
    assert [(Path(c.path).stem, c.label, c.split, len(c.keypoints)) for c in dataset.clips] == [
        ("0001", "bowl", "train", 5),
        ("0002", "bowl", "train", 6),
        ("0003", "bowl", "test", 7),
        ("0004", "squat", "test", 8),
    ]


def test_neighbours_of_one_action_split_and_size_are_one_group(tmp_path: Path) -> None:
    prepare(as_zip(tmp_path), tmp_path / "out")
    first, second, third, fourth = (clip.group for clip in read(tmp_path / "out").clips)
    assert first == second
    assert len({second, third, fourth}) == 3


def test_sides_become_those_of_the_body(tmp_path: Path) -> None:
    prepare(as_zip(tmp_path), tmp_path / "out")
    dataset = read(tmp_path / "out", "keep")
    x = loadmat(io.BytesIO(FILES["labels/0001.mat"]))["x"].astype(np.float32)  # type: ignore[arg-type]
    index = dataset.skeleton.joints.index
    found = dataset.clips[0].keypoints[..., 0]
    np.testing.assert_array_equal(found[:, index("head")], x[:, 0])
    np.testing.assert_array_equal(found[:, index("right_shoulder")], x[:, 1])
    np.testing.assert_array_equal(found[:, index("left_shoulder")], x[:, 2])
    np.testing.assert_array_equal(found[:, index("left_ankle")], x[:, 12])


def test_invisible_joints_are_missing_but_their_guesses_can_be_kept(tmp_path: Path) -> None:
    prepare(as_zip(tmp_path), tmp_path / "out")
    hidden = read(tmp_path / "out").skeleton.joints.index("right_wrist")
    missing, kept = (read(tmp_path / "out", occluded).clips[0].keypoints for occluded in ("missing", "keep"))
    assert (missing[:, hidden] == 0).all()
    assert (kept[:, hidden, 2] == 1).all()
    assert (kept[:, hidden, :2] > 0).all()
    np.testing.assert_array_equal(np.delete(missing, hidden, 1), np.delete(kept, hidden, 1))


def test_joints_that_nobody_placed_are_missing_even_when_guesses_are_kept(tmp_path: Path) -> None:
    folder = as_folder(tmp_path)
    corner = np.full((5, 13), 200.0)
    corner[:, 5] = 1.0
    (folder / "labels/0001.mat").write_bytes(label_file("bowl", 1, x=corner, y=corner))
    prepare(folder, tmp_path / "out")
    dataset = read(tmp_path / "out", "keep")
    assert (dataset.clips[0].keypoints[:, dataset.skeleton.joints.index("right_wrist")] == 0).all()
    assert (dataset.clips[0].keypoints[..., 2] == 1).sum() == 5 * 12


@pytest.mark.parametrize("data", [b"", b"MATLAB 5.0", label_file("bowl", 1, x=np.ones((5, 12))), b"x" * 500])
def test_a_file_that_is_no_label_file_is_named(tmp_path: Path, data: bytes) -> None:
    folder = as_folder(tmp_path)
    (folder / "labels/0003.mat").write_bytes(data)
    with pytest.raises(DataError, match=r"0003\.mat: is no label file"):
        prepare(folder, tmp_path / "out")


def test_other_things_are_no_penn_action(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="not the download"):
        prepare(tmp_path / "empty", tmp_path / "out")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(DataError, match="cannot be read"):
        prepare(tmp_path / "text", tmp_path / "out")
    with pytest.raises(DataError, match="cannot be read"):
        prepare(tmp_path / "none", tmp_path / "out")


def test_the_official_file_gives_the_official_split(shared_data: Path, tmp_path: Path) -> None:
    assert prepare(shared_data / "penn_action" / "labels.zip", tmp_path / "penn") == 2326
    dataset = read(tmp_path / "penn", "keep")
    assert Counter(clip.split for clip in dataset.clips) == {"train": 1258, "test": 1068}
    assert len({clip.label for clip in dataset.clips}) == 15
    assert sum(len(clip.keypoints) for clip in dataset.clips) == 163841
    assert len({clip.group for clip in dataset.clips}) > 1000
