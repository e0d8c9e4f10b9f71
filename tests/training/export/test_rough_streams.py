from __future__ import annotations

import numpy as np

from inkling.models.bundle.schema import FrameInput
from inkling.training.export.rough_streams import rough_frames, rough_poses
from tests.training.export.networks import BODY


def test_rough_poses_visit_what_streams_do() -> None:
    poses = rough_poses(BODY, 500, 4)
    present = poses[..., -1] > 0
    assert poses.shape == (500, 4, 4, 3)
    assert np.isfinite(poses).all()
    assert (poses[~present] == 0).all()
    assert (~present).all((1, 2)).any(), "a stretch without anybody"
    assert not present[0, -1].any(), "a row that begins with nothing"
    assert 0.8 < present[:160, 0].mean() < 0.97
    assert np.abs(poses).max() > 300


def test_rough_frames_visit_what_streams_do() -> None:
    frames = rough_frames(FrameInput(kind="frame", height=24, width=32), 120, 2)
    assert frames.shape == (120, 2, 24, 32, 3)
    assert frames.dtype == np.uint8
    changes = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean((1, 2, 3, 4))
    assert changes.max() > 4 * np.median(changes), "cuts"
    assert (frames[40:43, 0] == 0).all(), "black frames"
    assert frames[40:43, 1].any(), "of one stream only"


def test_the_same_seed_gives_the_same_streams_and_another_others() -> None:
    assert np.array_equal(rough_poses(BODY, 20, 2, seed=1), rough_poses(BODY, 20, 2, seed=1))
    assert not np.array_equal(rough_poses(BODY, 20, 2, seed=1), rough_poses(BODY, 20, 2, seed=2))
