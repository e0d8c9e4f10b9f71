"""What real pose estimators do to poses, in the fixed doses that quality is reported under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from training.augment import body_height
from training.data import Example, mixed_seed

MISSING_SHARE = 0.2
NOISE_SHARE = 0.03

Corruption = Callable[[Tensor, torch.Generator], Tensor]
"""(T, J, D + 1) -> the same shape."""


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


CONDITIONS: dict[str, Corruption] = {"clean": clean, "20 % of joints missing": missing, "noise of 3 % of height": noise}


def corrupted(examples: list[Example], corruption: Corruption) -> list[Example]:
    """Examples under a corruption; the same ones every time."""
    return [
        replace(example, pose=corruption(example.pose, torch.Generator().manual_seed(mixed_seed(i, len(example.pose)))))
        for i, example in enumerate(examples)
    ]
