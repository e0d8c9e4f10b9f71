from __future__ import annotations

import pytest
import torch

from inkling.training.data.corpus import Example
from inkling.training.evaluate.corruptions import CONDITIONS, MISSING_SHARE, NOISE_SHARE, corrupted, missing, noise


def pose() -> torch.Tensor:
    """(400, 10, 3): a line of ten joints, 100 long, the last one missing."""
    points = torch.zeros(400, 10, 3)
    points[:, :9, 0] = torch.linspace(50, 150, 9)
    points[:, :9, 1] = 20
    points[:, :9, 2] = 1
    return points


def test_a_fifth_of_the_joints_goes_missing_whole() -> None:
    found = missing(pose(), torch.Generator().manual_seed(0))
    lost = (found[:, :9, 2] == 0).float().mean()
    assert float(lost) == pytest.approx(MISSING_SHARE, abs=0.02)
    assert (found[found[..., 2] == 0] == 0).all()
    assert torch.equal(found[found[..., 2] > 0], pose()[found[..., 2] > 0])


def test_noise_is_a_share_of_the_bodys_extent_and_leaves_missing_joints_missing() -> None:
    found = noise(pose(), torch.Generator().manual_seed(0))
    off = (found - pose())[:, :9, :2]
    assert float(off.std()) == pytest.approx(100 * NOISE_SHARE, rel=0.05)
    assert (found[:, 9] == 0).all()
    assert torch.equal(found[..., 2], pose()[..., 2])


def test_a_clip_without_any_joint_survives_every_condition() -> None:
    for how in CONDITIONS.values():
        assert (how(torch.zeros(5, 3, 3), torch.Generator().manual_seed(0)) == 0).all()


def test_the_same_corruption_comes_out_every_time_and_another_for_every_clip() -> None:
    examples = [Example(pose(), 0, "s", "test", "")] * 2
    one, again = corrupted(examples, missing), corrupted(examples, missing)
    assert torch.equal(one[0].pose, again[0].pose)
    assert not torch.equal(one[0].pose, one[1].pose)
