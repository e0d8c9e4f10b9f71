from __future__ import annotations

import pytest
import torch

from inkling.models.skeletons import BODY13, SKELETONS, Skeleton
from inkling.training.augment.estimators import parts, seen_parts, swapped, swapped_steps
from inkling.training.augment.poses import mirrored
from tests.models.networks.test_pose_features import walk

LENGTHS = torch.full((300,), 40)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def named(group: tuple[int, ...]) -> str:
    return " ".join(BODY13.joints[joint] for joint in group)


def test_parts_of_a_body_are_sides_and_limbs_of_one_side_or_both_but_never_all_of_it() -> None:
    found = {named(group) for group in parts(BODY13)}
    assert "left_elbow left_wrist" in found
    assert "right_shoulder right_elbow right_wrist" in found
    assert "left_knee right_knee left_ankle right_ankle" in found
    assert "left_shoulder left_elbow left_wrist left_hip left_knee left_ankle" in found
    assert max(len(group) for group in parts(BODY13)) < 12


@pytest.mark.parametrize("name", sorted(SKELETONS))
def test_every_known_body_has_parts_on_both_sides(name: str) -> None:
    skeleton = SKELETONS[name]
    for side in zip(*skeleton.pairs, strict=True):
        assert tuple(sorted(side)) in parts(skeleton)


def test_a_body_without_sides_keeps_all_its_joints() -> None:
    stick = Skeleton(name="stick", joints=("a", "b"), root=(0,))
    assert parts(stick) == ()
    assert bool((seen_parts(torch.tensor([5]), 5, stick, generator()) == 1).all())


def test_one_part_of_each_body_is_hidden_for_a_stretch_or_throughout() -> None:
    seen = seen_parts(LENGTHS, 40, BODY13, generator())[..., 0]
    assert seen.shape == (300, 40, 13)
    throughout = 0
    for clip in seen:
        hidden = clip == 0
        at = hidden.any(1)
        (group,) = {tuple(joints.nonzero().flatten().tolist()) for joints in hidden[at]}
        assert group in parts(BODY13)
        assert len(at.long().unique_consecutive()) <= 3, "one stretch"
        throughout += bool(at.all())
    assert 120 < throughout < 190


def test_left_and_right_are_exchanged_throughout_for_a_stretch_or_now_and_then() -> None:
    where = swapped_steps(LENGTHS, 40, generator())
    throughout = int(where.all(1).sum())
    stretches = sum(len(clip.long().unique_consecutive()) <= 3 for clip in where) - throughout
    assert 70 < throughout < 140
    assert 70 < stretches < 150
    assert 0.3 < float(where.float().mean()) < 0.7


def test_an_exchange_moves_nothing_and_is_undone_by_another() -> None:
    clip = walk(6)[0]
    where = torch.tensor([True, False, True, True, False, False])
    found = swapped(clip, where, BODY13)
    left, right = BODY13.joints.index("left_knee"), BODY13.joints.index("right_knee")
    assert torch.equal(found[where][:, left], clip[where][:, right])
    assert torch.equal(found[~where], clip[~where])
    assert torch.equal(swapped(found, where, BODY13), clip)
    assert torch.equal(found[0, :, 0].sort().values, clip[0, :, 0].sort().values)
    assert not torch.equal(swapped(clip, torch.ones(6, dtype=torch.bool), BODY13), mirrored(clip, BODY13))
