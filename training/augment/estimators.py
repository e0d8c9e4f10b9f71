"""What pose estimators do to whole parts of a body: they do not see a side or a limb, or take left for right.

Clips are (B, T, J, D + 1), padded, and their lengths (B,).
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from inkling.models.skeletons import Skeleton

FLICKER = 0.3
"""Largest share of a clip's steps at which left and right are exchanged now and then."""


def mirror_order(skeleton: Skeleton) -> list[int]:
    """For each joint its counterpart on the other side, or itself."""
    order = list(range(len(skeleton.joints)))
    for left, right in skeleton.pairs:
        order[left], order[right] = right, left
    return order


@cache
def parts(skeleton: Skeleton) -> tuple[tuple[int, ...], ...]:
    """What is hidden together: each side, each limb from any of its joints on, and the same limb of both sides.

    Limbs follow the bones of one side; a skeleton without bones has sides only, one without pairs nothing.
    """
    other = mirror_order(skeleton)
    found: set[tuple[int, ...]] = set()
    for side in ({pair[0] for pair in skeleton.pairs}, {pair[1] for pair in skeleton.pairs}):
        limbs = [_limb(joint, side, skeleton) for joint in side]
        found |= {tuple(sorted(limb)) for limb in (side, *limbs) if len(limb) > 1 or limb == side}
    both = {tuple(sorted({*part, *(other[joint] for joint in part)})) for part in found}
    whole = 2 * len(skeleton.pairs)
    return tuple(sorted(part for part in found | both if 0 < len(part) < whole))


def _limb(joint: int, side: set[int], skeleton: Skeleton) -> set[int]:
    """A joint and all that hangs from it on its side."""
    limb, hanging = {joint}, [joint]
    while hanging:
        parent = hanging.pop()
        for a, child in skeleton.bones:
            if a == parent and child in side and child not in limb:
                limb.add(child)
                hanging.append(child)
    return limb


def seen_parts(lengths: Tensor, steps: int, skeleton: Skeleton, random: torch.Generator) -> Tensor:
    """(B, T, J, 1) of 0 and 1: one part of each body is hidden, half of the time throughout, else for one stretch."""
    count, groups = len(lengths), parts(skeleton)
    if not groups:
        return torch.ones(count, steps, len(skeleton.joints), 1)
    masks = torch.zeros(len(groups), len(skeleton.joints))
    for row, group in enumerate(groups):
        masks[row, list(group)] = 1.0
    hidden = masks[torch.randint(len(groups), (count,), generator=random)][:, None, :, None]
    throughout = (torch.rand(count, generator=random) < 0.5)[:, None]
    return 1.0 - hidden * (throughout | _stretch(lengths, steps, random))[..., None, None]


def swapped_steps(lengths: Tensor, steps: int, random: torch.Generator) -> Tensor:
    """(B, T) whether left and right are exchanged: throughout a clip, for one stretch, or now and then, each a third of
    the clips."""
    kind = torch.randint(3, (len(lengths), 1), generator=random)
    stretch = _stretch(lengths, steps, random)
    share = FLICKER * torch.rand(len(lengths), 1, generator=random)
    flicker = torch.rand(len(lengths), steps, generator=random) < share
    return (kind == 0) | ((kind == 1) & stretch) | ((kind == 2) & flicker)


def swapped(poses: Tensor, where: Tensor, skeleton: Skeleton) -> Tensor:
    """Left and right joints exchanged, each staying where the other was, at the steps (..., T) `where`.

    poses (..., T, J, D + 1). This is no mirror image: a body that faces left still does.
    """
    return torch.where(where[..., None, None], poses[..., mirror_order(skeleton), :], poses)


def _stretch(lengths: Tensor, steps: int, random: torch.Generator) -> Tensor:
    """(B, T): in each clip one stretch, from anywhere and of any length."""
    begin, length = (torch.rand(2, len(lengths), 1, generator=random) * lengths[:, None]).unbind(0)
    at = torch.arange(steps)
    return (at >= begin.floor()) & (at < begin + length + 1)
