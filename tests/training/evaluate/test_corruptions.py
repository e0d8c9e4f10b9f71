from __future__ import annotations

import pytest
import torch

from inkling.models.skeletons import BODY13, Skeleton
from inkling.training.data.corpus import Example
from inkling.training.evaluate.corruptions import (
    MISSING_SHARE,
    NOISE_SHARE,
    SWAPPED_SHARE,
    SideHidden,
    Swapped,
    conditions,
    corrupted,
    missing,
    noise,
)
from tests.models.networks.test_pose_features import walk


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
    clip = torch.zeros(5, 13, 3)
    for how in conditions([Example(clip, 0, "s", "test", "")], BODY13).values():
        assert (how(clip, torch.Generator().manual_seed(0)) == 0).all()


def test_left_and_right_are_exchanged_at_a_fifth_of_the_steps() -> None:
    clip = walk(400)[0]
    found = Swapped(BODY13)(clip, torch.Generator().manual_seed(0))
    changed = (found != clip).any(-1).any(-1)
    assert float(changed.float().mean()) == pytest.approx(SWAPPED_SHARE, abs=0.05)


def test_all_joints_of_one_side_are_hidden_throughout() -> None:
    clip = walk(30)[0]
    sides = set()
    for seed in range(8):
        found = SideHidden(BODY13)(clip, torch.Generator().manual_seed(seed))
        hidden = (found[..., 2] == 0).all(0).nonzero().flatten().tolist()
        assert (found[:, hidden] == 0).all()
        kept = [joint for joint in range(13) if joint not in hidden]
        assert torch.equal(found[:, kept], clip[:, kept])
        sides.add(tuple(BODY13.joints[joint].split("_")[0] for joint in hidden))
    assert sides == {("left",) * 6, ("right",) * 6}


def test_a_body_without_sides_has_no_condition_that_needs_them() -> None:
    example = Example(torch.zeros(5, 2, 3), 0, "s", "test", "")
    assert len(conditions([example], Skeleton(name="stick", joints=("a", "b"), root=(0,)))) == 3
    assert len(conditions([example], BODY13)) == 6


def test_the_same_corruption_comes_out_every_time_and_another_for_every_clip() -> None:
    examples = [Example(pose(), 0, "s", "test", "")] * 2
    one, again = corrupted(examples, missing), corrupted(examples, missing)
    assert torch.equal(one[0].pose, again[0].pose)
    assert not torch.equal(one[0].pose, one[1].pose)
