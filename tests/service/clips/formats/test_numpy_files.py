from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from inkling.service.clips.formats.numpy_files import read_npy_clip, read_npz_clip
from inkling.service.protocol.errors import BadClip, TooLarge

MOST = 10**6


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_times_come_from_pts_s_or_from_the_rate() -> None:
    keypoints = np.ones((3, 17, 3), np.float32)
    timed = read_npz_clip(npz(keypoints=keypoints, pts_s=[0, 0.5, 2], fps=30, skeleton="coco17"), MOST)
    assert timed.pts_s is not None
    assert (timed.pts_s.tolist(), timed.skeleton) == ([0, 0.5, 2], "coco17")
    rated = read_npz_clip(npz(keypoints=keypoints, fps=10), MOST)
    assert rated.pts_s is not None
    assert rated.pts_s.tolist() == pytest.approx([0, 0.1, 0.2])
    assert read_npy_clip(npy(keypoints), MOST).pts_s is None


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"poses": np.ones(3)}, "there is none"),
        ({"keypoints": np.ones((3, 17))}, r"\(3, 17\)"),
        ({"keypoints": np.ones((3, 0, 3))}, "joints"),
        ({"keypoints": np.ones((3, 2, 3)), "pts_s": np.ones((3, 1))}, "pts_s"),
        ({"keypoints": np.ones((3, 2, 3)), "fps": np.ones(2)}, "one number"),
        ({"keypoints": np.array([[[None]]], object)}, "cannot be read"),
    ],
)
def test_arrays_of_another_kind_are_refused(arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(BadClip, match=words):
        read_npz_clip(npz(**arrays), MOST)


def test_a_file_that_unpacks_to_more_is_refused_before_it_does() -> None:
    bomb = npz(keypoints=np.zeros((10_000, 17, 3)))
    assert len(bomb) < MOST / 10
    with pytest.raises(TooLarge):
        read_npz_clip(bomb, MOST)


def test_objects_are_never_unpickled() -> None:
    with pytest.raises(BadClip):
        read_npy_clip(npy(np.array([print], object)), MOST)
