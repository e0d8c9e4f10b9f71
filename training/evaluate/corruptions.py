"""What real pose estimators do to poses, and rooms and cameras to frames, in the fixed doses that quality is reported
under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from inkling.models.skeletons import Skeleton
from inkling.training.augment.estimators import swapped
from inkling.training.augment.poses import body_height
from inkling.training.data.corpus import Example
from inkling.training.seeds import mixed_seed

MISSING_SHARE = 0.2
SWAPPED_SHARE = 0.2
NOISE_SHARE = 0.03
LIGHT = 0.5
NOISE_LEVELS = 10.0

Corruption = Callable[[Tensor, torch.Generator], Tensor]
"""Poses (T, J, D + 1) or frames (T, H, W, 3) -> the same shape."""


def clean(pose: Tensor, generator: torch.Generator) -> Tensor:
    """The poses as they are."""
    return pose


def missing(pose: Tensor, generator: torch.Generator) -> Tensor:
    """Each joint of each step is lost with probability `MISSING_SHARE`, independently."""
    kept = torch.rand(pose.shape[:2], generator=generator) >= MISSING_SHARE
    return pose * kept[..., None]


def noise(pose: Tensor, generator: torch.Generator) -> Tensor:
    """Each coordinate of each step is off by a Gaussian of `NOISE_SHARE` of the body's height."""
    offset = torch.randn(pose[..., :-1].shape, generator=generator) * NOISE_SHARE * body_height(pose)
    present = pose[..., -1:] > 0
    return torch.cat([pose[..., :-1] + offset * present, pose[..., -1:]], -1)


class Swapped:
    """Left and right are exchanged at each step with probability `SWAPPED_SHARE`, independently."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton

    def __call__(self, pose: Tensor, generator: torch.Generator) -> Tensor:
        where = torch.rand(len(pose), generator=generator) < SWAPPED_SHARE
        return swapped(pose, where, self.skeleton)


class SideHidden:
    """All joints of one side are missing throughout, of the left or of the right one."""

    def __init__(self, skeleton: Skeleton) -> None:
        self.pairs = torch.tensor(skeleton.pairs)

    def __call__(self, pose: Tensor, generator: torch.Generator) -> Tensor:
        side = int(torch.randint(2, (), generator=generator))
        return pose.index_fill(1, self.pairs[:, side], 0.0)


def unseen(pose: Tensor, generator: torch.Generator) -> Tensor:
    """No joint is seen at any step: what is left is the picture beside them."""
    return torch.zeros_like(pose)


def dim(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Each grey level times `LIGHT`."""
    return (frames.to(torch.float32) * LIGHT).round().to(torch.uint8)


def grain(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Each value off by a Gaussian of `NOISE_LEVELS` grey levels."""
    # frame by frame: whole recordings as floats take much memory
    noisy = [f + torch.randn(f.shape, generator=generator) * NOISE_LEVELS for f in frames]
    return torch.stack([f.round().clamp(0, 255).to(torch.uint8) for f in noisy])


FRAME_CONDITIONS: dict[str, Corruption] = {"clean": clean, "half the light": dim, "noise of 10 grey levels": grain}
FEATURE_CONDITIONS: dict[str, Corruption] = {"clean": clean}
BESIDE_PICTURES: dict[str, Corruption] = {"no joints at all": unseen}
CONDITIONS: dict[str, Corruption] = {"clean": clean, "20 % of joints missing": missing, "noise of 3 % of height": noise}


def corrupted(examples: list[Example], corruption: Corruption) -> list[Example]:
    """Examples under a corruption; the same ones every time."""
    return [
        replace(example, pose=corruption(example.pose, torch.Generator().manual_seed(mixed_seed(i, len(example.pose)))))
        for i, example in enumerate(examples)
    ]


def conditions(examples: list[Example], skeleton: Skeleton | None) -> dict[str, Corruption]:
    """The conditions to measure examples under: of poses on `skeleton`, of frames, or of features, which only clean
    frames have."""
    if skeleton is None:
        return FRAME_CONDITIONS if examples[0].pose.dtype == torch.uint8 else FEATURE_CONDITIONS
    found = CONDITIONS | (BESIDE_PICTURES if examples[0].further else {})
    if not skeleton.pairs:
        return found
    swaps, hides = Swapped(skeleton), SideHidden(skeleton)
    return found | {
        "sides swapped at 20 % of steps": swaps,
        "one side hidden": hides,
        "one side hidden, sides swapped": lambda pose, generator: swaps(hides(pose, generator), generator),
    }
