from __future__ import annotations

import pytest
import torch

from inkling.models.errors import SkeletonError
from inkling.models.skeletons import SKELETONS, Skeleton
from inkling.training.augment.poses import body_height
from inkling.training.data.synthetic_falls import fall_clips
from inkling.training.labels import UNLABELLED, anything_but

FALL, IDLE, RATE_HZ = 3, 5, 15.0


def made(count: int = 40, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return fall_clips(count, SKELETONS["body13"], RATE_HZ, FALL, IDLE, torch.Generator().manual_seed(seed))


def test_about_half_of_the_people_fall_and_nobody_else_is_said_to() -> None:
    clips = made()
    falling = [targets for _, targets in clips if (targets == FALL).any()]
    assert 10 <= len(falling) <= 30
    for targets in falling:
        known = targets[targets != UNLABELLED].tolist()
        order = [anything_but(FALL), FALL, IDLE]
        assert known == sorted(known, key=order.index)
    assert all((t == anything_but(FALL)).all() for _, t in clips if not (t == FALL).any())


def test_whoever_fell_lies_lower_than_they_stood_or_sat() -> None:
    lower = []
    for pose, targets in made():
        if not (targets == FALL).any():
            continue
        height, seen = body_height(pose), pose[..., 2] > 0
        middle = (pose[..., 1] * seen).sum(1) / seen.sum(1).clamp(min=1)
        before, after = middle[:5].mean(), middle[targets == FALL][-3:].mean()
        lower.append(float((after - before) / height))
    lower.sort()
    assert lower[len(lower) // 2] > 0.15  # seen from the ceiling nobody gets lower


@pytest.mark.parametrize("name", ["body13", "coco17"])
def test_poses_are_finite_and_have_a_size(name: str) -> None:
    for pose, targets in fall_clips(20, SKELETONS[name], RATE_HZ, FALL, IDLE, torch.Generator().manual_seed(1)):
        assert len(pose) == len(targets)
        assert torch.isfinite(pose).all()
        assert 15 <= len(pose) <= 160
        assert float(body_height(pose)) > 20


def test_the_same_randomness_gives_the_same_falls() -> None:
    for (first, _), (second, _) in zip(made(3, seed=5), made(3, seed=5), strict=True):
        assert torch.equal(first, second)


def test_a_body_unlike_ours_is_refused() -> None:
    hand = Skeleton(name="hand", joints=("wrist", "thumb"), root=(0,))
    with pytest.raises(SkeletonError):
        fall_clips(1, hand, RATE_HZ, FALL, IDLE, torch.Generator())
