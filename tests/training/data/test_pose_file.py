from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.skeletons import Skeleton
from inkling.training.data.pose_file import load

PAIR = Skeleton(name="pair", joints=("a", "b"), root=(0,))


def saved(path: Path, **arrays: Any) -> Path:
    np.savez(path / "clip.npz", **arrays)
    return path / "clip.npz"


def points(frames: int = 3, last: int = 3) -> Any:
    return np.arange(1, frames * 2 * last + 1, dtype=np.float64).reshape(frames, 2, last)


def test_confidence_is_kept_and_times_follow_from_fps(tmp_path: Path) -> None:
    poses, times = load(saved(tmp_path, keypoints=points()), PAIR, fps=2)
    assert poses.dtype == np.float32
    np.testing.assert_array_equal(poses, points())
    np.testing.assert_array_equal(times, [0, 0.5, 1])


def test_without_confidence_every_joint_is_present_but_those_that_are_nan(tmp_path: Path) -> None:
    keypoints = points(last=2)
    keypoints[1, 0] = np.nan
    poses, _ = load(saved(tmp_path, keypoints=keypoints), PAIR, fps=2)
    np.testing.assert_array_equal(poses[..., 2], [[1, 1], [0, 1], [1, 1]])
    np.testing.assert_array_equal(poses[1, 0], 0)


def test_a_missing_joint_has_no_place_whatever_the_file_says(tmp_path: Path) -> None:
    keypoints = points()
    keypoints[0, 1] = [np.nan, 5, 0]
    keypoints[2, 0] = [7, 8, 0]
    poses, _ = load(saved(tmp_path, keypoints=keypoints), PAIR, fps=2)
    np.testing.assert_array_equal(poses[0, 1], 0)
    np.testing.assert_array_equal(poses[2, 0], 0)


def test_guesses_of_hidden_joints_can_be_kept(tmp_path: Path) -> None:
    keypoints = points()
    keypoints[0, 1] = [7, 8, 0]
    keypoints[1, 1] = [0, 0, 0]
    keypoints[2, 1] = [np.nan, 8, 0]
    poses, _ = load(saved(tmp_path, keypoints=keypoints), PAIR, fps=2, occluded="keep")
    np.testing.assert_array_equal(poses[:, 1], [[7, 8, 1], [0, 0, 0], [0, 0, 0]])


def test_stored_times_are_used_and_may_repeat(tmp_path: Path) -> None:
    _, times = load(saved(tmp_path, keypoints=points(), pts_s=[1, 1, 4]), PAIR, fps=2)
    np.testing.assert_array_equal(times, [1, 1, 4])


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"poses": points()}, "no array 'keypoints'"),
        ({"keypoints": points(last=4)}, r"shape \(3, 2, 4\).*\(T, 2, 2\) or \(T, 2, 3\)"),
        ({"keypoints": np.ones((3, 5, 3))}, r"shape \(3, 5, 3\)"),
        ({"keypoints": np.ones((3, 2))}, r"shape \(3, 2\)"),
        ({"keypoints": np.full((3, 2, 3), "x")}, "not numbers"),
        ({"keypoints": np.full((3, 2, 3), None)}, "cannot be read|pickle"),
        ({"keypoints": np.where(points() == 8, np.nan, points())}, "frame 1, joint a: not finite"),
        ({"keypoints": np.where(points(last=2) == 8, np.nan, points(last=2))}, "frame 1, joint b: not finite"),
        ({"keypoints": np.where(points() == 10, 2e6, points())}, "frame 1, joint b: beyond 1e"),
        ({"keypoints": np.where(points() == 9, -1, points())}, "frame 1, joint a: its confidence"),
        ({"keypoints": np.where(points() == 9, np.nan, points())}, "frame 1, joint a: its confidence"),
        ({"keypoints": points(), "pts_s": [0, 1]}, "pts_s"),
        ({"keypoints": points(), "pts_s": [0, 2, 1]}, "never decrease"),
        ({"keypoints": points(), "pts_s": [0, 1, np.inf]}, "finite"),
        ({"keypoints": points(), "pts_s": ["0", "1", "2"]}, "pts_s"),
    ],
)
def test_bad_arrays_are_refused_with_a_reason(tmp_path: Path, arrays: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load(saved(tmp_path, **arrays), PAIR, fps=2)


def test_a_missing_file_is_told_from_a_broken_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz", PAIR, fps=2)


def test_a_plain_npy_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "clip.npy", points())
    with pytest.raises(ValueError, match=r"not an \.npz"):
        load(tmp_path / "clip.npy", PAIR, fps=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("poses")


@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_by_a_value_error(folder: Path, data: st.DataObject) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, keypoints=points(), pts_s=np.arange(3.0))
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "damaged.npz"
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with contextlib.suppress(ValueError):
        poses, _ = load(path, PAIR, fps=2)
        assert np.isfinite(poses).all()
