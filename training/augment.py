"""What a clip of poses could also have looked like: mirrored, faster, tilted, noisier, with joints lost, begun later.

Real pose estimators are noisy, lose joints for a moment or for good, and cameras begin to look in the middle of an
action. Every figure is a limit or a chance; how much of it a clip gets is drawn per clip.
"""

from __future__ import annotations

import math
from typing import Annotated, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from models.skeletons import Skeleton

Chance = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Draw(Protocol):
    """A number drawn evenly between two limits."""

    def __call__(self, low: float = 0.0, high: float = 1.0) -> float: ...


class Augmentation(BaseModel):
    """How far a clip may be changed. `Augmentation.none()` changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mirror: Chance = 0.5
    """Chance of swapping left and right."""
    speed: Annotated[float, Field(ge=1, le=4)] = 1.25
    """Played at 1 / speed to speed times its speed."""
    crop: Chance = 0.3
    """Chance that the beginning is cut off, up to half of the clip."""
    tilt_degrees: NotNegative = 10.0
    """Turned in the picture (3D: about the vertical axis too, by any angle)."""
    stretch: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Each axis scaled by up to this share."""
    noise: NotNegative = 0.03
    """Standard deviation of joint noise, as a share of the body's height."""
    noisy: Chance = 0.5
    """Chance that a clip gets noise."""
    lost: Annotated[float, Field(ge=0, lt=1)] = 0.3
    """Largest share of joints that go missing."""
    losing: Chance = 0.5
    """Chance that a clip loses joints, one frame at a time or a stretch at a time."""
    fill: Chance = 0.5
    """Chance that joints which annotators left out are put beside their other side's, where pose estimators guess them
    in a side view."""

    @classmethod
    def none(cls) -> Augmentation:
        return cls(mirror=0, speed=1, crop=0, tilt_degrees=0, stretch=0, noise=0, noisy=0, lost=0, losing=0, fill=0)

    def __call__(self, pose: Tensor, skeleton: Skeleton, random: torch.Generator) -> Tensor:
        """Another clip that could have been. pose (T, J, D + 1) -> (T', J, D + 1), T' >= min(T, 2)."""

        def draw(low: float = 0.0, high: float = 1.0) -> float:
            return low + (high - low) * float(torch.rand((), generator=random))

        if draw() < self.mirror:
            pose = mirrored(pose, skeleton)
        if draw() < self.fill:
            pose = filled(pose, skeleton, random)
        steps = len(pose)
        if self.speed > 1 and steps > 2:
            rate = self.speed ** draw(-1.0, 1.0)
            pose = pose[torch.arange(0, steps - 0.5, rate).round().long().clamp(max=steps - 1)]
        if draw() < self.crop and len(pose) > 4:
            pose = pose[int(draw(0.0, 0.5) * len(pose)) :]
        d = skeleton.dimensions
        place, confidence = pose[..., :d], pose[..., d:]
        place = place @ self._view(d, draw).T
        if draw() < self.noisy and self.noise > 0:
            scale = draw() * self.noise * body_height(torch.cat([place, confidence], -1))
            place = place + scale * torch.randn(place.shape, generator=random)
        if draw() < self.losing and self.lost > 0:
            confidence = confidence * self._kept(pose.shape[0], pose.shape[1], draw, random)
        return torch.cat([place * (confidence > 0), confidence], dim=-1)

    def _view(self, dimensions: int, draw: _Draw) -> Tensor:
        """(D, D): tilt in the picture plane, any turn about the vertical in 3D, and a stretch of each axis."""
        view = torch.diag(torch.tensor([1.0 + self.stretch * draw(-1.0, 1.0) for _ in range(dimensions)]))
        view = _turn(dimensions, 0, 1, math.radians(self.tilt_degrees * draw(-1.0, 1.0))) @ view
        if dimensions == 3 and self.tilt_degrees > 0:
            view = view @ _turn(3, 0, 2, math.pi * draw(-1.0, 1.0))
        return view

    def _kept(self, steps: int, joints: int, draw: _Draw, random: torch.Generator) -> Tensor:
        """(T, J, 1) of 0 and 1: joints flicker, or each lost joint is gone for one stretch of the clip."""
        share = self.lost * draw()
        if draw() < 0.5:
            return (torch.rand(steps, joints, 1, generator=random) >= share).float()
        begin = torch.rand(1, joints, 1, generator=random) * steps
        length = torch.rand(1, joints, 1, generator=random) * steps + 1
        gone = torch.rand(1, joints, 1, generator=random) < share
        at = torch.arange(steps).view(-1, 1, 1)
        return 1.0 - (gone & (at >= begin) & (at < begin + length)).float()


def mirrored(pose: Tensor, skeleton: Skeleton) -> Tensor:
    """The same body in a mirror: first axis negated, left and right joints exchanged. pose (..., J, D + 1)."""
    sign = torch.ones(skeleton.dimensions + 1)
    sign[0] = -1.0
    return pose[..., mirror_order(skeleton), :] * sign


def filled(pose: Tensor, skeleton: Skeleton, random: torch.Generator) -> Tensor:
    """Missing joints at the place of their other side's, a little off. pose (T, J, D + 1)."""
    other = mirror_order(skeleton)
    d = skeleton.dimensions
    guess = pose[:, other]
    # Off by the same amount throughout: the far limb is hidden behind the near one, not jumping about it.
    off = 0.03 * body_height(pose) * torch.randn(1, pose.shape[1], d, generator=random)
    guess = torch.cat([guess[..., :d] + off * (guess[..., d:] > 0), guess[..., d:]], dim=-1)
    return torch.where(pose[..., d:] > 0, pose, guess)


def mirror_order(skeleton: Skeleton) -> list[int]:
    """For each joint its counterpart on the other side, or itself."""
    order = list(range(len(skeleton.joints)))
    for left, right in skeleton.pairs:
        order[left], order[right] = right, left
    return order


def body_height(pose: Tensor) -> Tensor:
    """Median over frames of the longest extent of the joints seen. pose (T, J, D + 1) -> scalar, >= 0.

    The longest axis, so that a lying body counts as much as a standing one.
    """
    d = pose.shape[-1] - 1
    seen = pose[..., d:] > 0
    highest = pose[..., :d].masked_fill(~seen, -math.inf).amax(1)
    lowest = pose[..., :d].masked_fill(~seen, math.inf).amin(1)
    extent = (highest - lowest).amax(-1)
    found = extent[torch.isfinite(extent)]
    return found.median() if len(found) else pose.new_zeros(())


def _turn(dimensions: int, first: int, second: int, angle: float) -> Tensor:
    """(D, D) rotation in the plane of two axes."""
    turn = torch.eye(dimensions)
    turn[first, first] = turn[second, second] = math.cos(angle)
    turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
    return turn
