from __future__ import annotations

import torch

from inkling.training.augment.joining import join
from inkling.training.labels import UNLABELLED
from tests.models.networks.test_pose_features import walk


def test_the_first_action_ends_where_and_as_large_as_the_second_begins() -> None:
    before, pose = walk(10, seed=1)[0], walk(8, seed=2)[0]
    before[..., :2] = before[..., :2] * 0.2 - 400
    joined, targets = join(before, torch.full((10,), 3), pose, torch.full((8,), 5), 4)
    assert joined.shape == (22, 13, 3)
    torch.testing.assert_close(joined[14:], pose)
    torch.testing.assert_close(joined[9, :, :2].mean(0), pose[0, :, :2].mean(0), rtol=1e-3, atol=0.5)
    spread = [(frame[:, :2] - frame[:, :2].mean(0)).norm() for frame in (joined[9], pose[0])]
    torch.testing.assert_close(*spread, rtol=1e-3, atol=0.5)
    assert targets.tolist() == [3] * 10 + [UNLABELLED] * 4 + [5] * 8


def test_the_passage_goes_straight_and_shows_only_joints_seen_on_both_sides() -> None:
    before, pose = walk(3, seed=1)[0], walk(3, seed=2)[0]
    before[-1, 4] = 0
    pose[0, 6] = 0
    joined, _ = join(before, torch.zeros(3), pose, torch.ones(3), 3)
    assert (joined[3:6, [4, 6]] == 0).all()
    torch.testing.assert_close(joined[4, 0], (joined[2, 0] + joined[6, 0]) / 2)


def test_without_joints_in_common_the_clips_are_put_together_as_they_are() -> None:
    before, pose = walk(3, seed=1)[0], walk(3, seed=2)[0]
    before[-1] = 0
    joined, _ = join(before, torch.zeros(3), pose, torch.ones(3), 0)
    torch.testing.assert_close(joined, torch.cat([before, pose]))
    assert torch.isfinite(joined).all()
