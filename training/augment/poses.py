"""What a clip of poses could also have looked like: mirrored, faster, tilted, noisier, with joints lost, begun later.

Real pose estimators are noisy, lose joints for a moment or for good, and cameras begin to look in the middle of an
action. Every figure is a limit or a chance; how much of it a clip gets is drawn per clip.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, NamedTuple, Protocol

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from inkling.models.skeletons import Skeleton
from inkling.training.augment.estimators import mirror_order, seen_parts, swapped, swapped_steps

Chance = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


TOGETHER = 256
"""Clips that are changed at once, of like length."""


class View(NamedTuple):
    """A clip as it could also have been seen. steps: (T',) the step of the clip that each of its steps shows."""

    pose: Tensor
    steps: Tensor


class _Draw(Protocol):
    """A number for each clip, (B,), drawn evenly between two limits."""

    def __call__(self, low: float = 0.0, high: float = 1.0) -> Tensor: ...


class Augmentation(BaseModel):
    """How far a clip may be changed. `Augmentation.none()` changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    mirror: Chance = 0.5
    """Chance of swapping left and right."""
    speed: Annotated[float, Field(ge=1, le=4)] = 1.25
    """Played at 1 / speed to speed times its speed."""
    crop: Chance = 0.3
    """Chance that the beginning is cut off, up to half of the clip."""
    short: Chance = 0.0
    """Chance that the end is cut off, anywhere but in the first tenth: the random split of observed and unobserved of
    EAST (arXiv 2604.18367). A student that answers at every step already learns of every beginning of every clip: this
    only has it see fewer endings."""
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
    hiding: Chance = 0.0
    """Chance that a part of the body is hidden, a side or a limb or the same limb on both sides: for a stretch of the
    clip or throughout."""
    swapping: Chance = 0.0
    """Chance that left and right are exchanged, as estimators do with people seen from the side or from behind:
    throughout the clip, for a stretch, or now and then."""

    @classmethod
    def none(cls) -> Augmentation:
        return cls(mirror=0, speed=1, crop=0, tilt_degrees=0, stretch=0, noise=0, noisy=0, lost=0, losing=0, fill=0)

    def __call__(self, clips: Sequence[Tensor], skeleton: Skeleton, random: torch.Generator) -> list[View]:
        """Other clips that could have been. Each (T, J, D + 1) -> (T', J, D + 1), T' >= min(T, 2)."""
        found: dict[int, View] = {}
        order = sorted(range(len(clips)), key=lambda i: len(clips[i]))
        for start in range(0, len(order), TOGETHER):
            rows = order[start : start + TOGETHER]
            lengths = torch.tensor([len(clips[i]) for i in rows])
            poses, lengths, at = self._drawn(pad_sequence([clips[i] for i in rows], True), lengths, skeleton, random)
            for i, pose, steps, length in zip(rows, poses, at, lengths.tolist(), strict=True):
                found[i] = View(pose[:length], steps[:length])
        return [found[i] for i in range(len(clips))]

    def _drawn(
        self, poses: Tensor, lengths: Tensor, skeleton: Skeleton, random: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As `__call__`, of padded clips (B, T, J, D + 1) and their lengths (B,); last the steps shown, (B, T')."""
        count, d = len(poses), skeleton.dimensions

        def draw(low: float = 0.0, high: float = 1.0) -> Tensor:
            return low + (high - low) * torch.rand(count, generator=random)

        def chosen(chance: float) -> Tensor:
            return (draw() < chance).view(-1, 1, 1, 1)

        poses = torch.where(chosen(self.mirror), mirrored(poses, skeleton), poses)
        poses = torch.where(chosen(self.fill), filled(poses, skeleton, random), poses)
        at, lengths = self._paced(lengths, draw)
        poses = poses[torch.arange(count)[:, None], at]
        if self.swapping > 0:
            where = swapped_steps(lengths, poses.shape[1], random) & chosen(self.swapping)[..., 0, 0]
            poses = swapped(poses, where, skeleton)
        place, confidence = poses[..., :d], poses[..., d:]
        place = torch.einsum("btjd,bed->btje", place, self._view(d, draw))
        scale = draw() * self.noise * (draw() < self.noisy) * body_height(torch.cat([place, confidence], -1))
        place = place + scale.view(-1, 1, 1, 1) * torch.randn(place.shape, generator=random)
        kept = self._kept(poses.shape[1], poses.shape[2], lengths, draw, random)
        confidence = torch.where(chosen(self.losing), confidence * kept, confidence)
        if self.hiding > 0:
            seen = seen_parts(lengths, poses.shape[1], skeleton, random)
            confidence = torch.where(chosen(self.hiding), confidence * seen, confidence)
        return torch.cat([place * (confidence > 0).to(place.dtype), confidence], dim=-1), lengths, at

    def _paced(self, lengths: Tensor, draw: _Draw) -> tuple[Tensor, Tensor]:
        """The steps (B, T') that clips show at another speed, some without their beginning, and their lengths (B,)."""
        rate = torch.where(lengths > 2, self.speed ** draw(-1.0, 1.0), 1.0)
        steps = ((lengths - 0.5) / rate).ceil().long()
        cut = (draw(0.0, 0.5) * steps).long() * ((draw() < self.crop) & (steps > 4))
        at = torch.arange(int(steps.max())) + cut[:, None]
        at = torch.minimum((at * rate[:, None]).round().long(), lengths[:, None] - 1)
        steps = steps - cut
        if self.short > 0:
            shorter = (draw(0.1, 1.0) * steps).ceil().long().clamp(min=2).minimum(steps)
            steps = torch.where(draw() < self.short, shorter, steps)
        return at, steps

    def _view(self, dimensions: int, draw: _Draw) -> Tensor:
        """(B, D, D): tilt in the picture plane, any turn about the vertical in 3D, and a stretch of each axis."""
        view = torch.diag_embed(torch.stack([1.0 + self.stretch * draw(-1.0, 1.0) for _ in range(dimensions)], -1))
        view = _turn(dimensions, 0, 1, math.radians(self.tilt_degrees) * draw(-1.0, 1.0)) @ view
        if dimensions == 3 and self.tilt_degrees > 0:
            view = view @ _turn(3, 0, 2, math.pi * draw(-1.0, 1.0))
        return view

    def _kept(self, steps: int, joints: int, lengths: Tensor, draw: _Draw, random: torch.Generator) -> Tensor:
        """(B, T, J, 1) of 0 and 1: joints flicker, or each lost joint is gone for one stretch of the clip."""
        count, share = len(lengths), (self.lost * draw()).view(-1, 1, 1, 1)
        flickers = torch.rand(count, steps, joints, 1, generator=random) < share
        begin, length = (torch.rand(2, count, 1, joints, 1, generator=random) * lengths.view(-1, 1, 1, 1)).unbind(0)
        at = torch.arange(steps).view(1, -1, 1, 1)
        gone = (torch.rand(count, 1, joints, 1, generator=random) < share) & (at >= begin) & (at < begin + length + 1)
        return 1.0 - torch.where((draw() < 0.5).view(-1, 1, 1, 1), flickers, gone).float()


def mirrored(pose: Tensor, skeleton: Skeleton) -> Tensor:
    """The same body in a mirror: first axis negated, left and right joints exchanged. pose (..., J, D + 1)."""
    sign = torch.ones(skeleton.dimensions + 1)
    sign[0] = -1.0
    return pose[..., mirror_order(skeleton), :] * sign


def filled(pose: Tensor, skeleton: Skeleton, random: torch.Generator) -> Tensor:
    """Missing joints at the place of their other side's, a little off. pose (..., T, J, D + 1)."""
    other = mirror_order(skeleton)
    d = skeleton.dimensions
    guess = pose[..., other, :]
    # Off by the same amount throughout: the far limb is hidden behind the near one, not jumping about it.
    size = body_height(pose)[..., None, None, None]
    off = 0.03 * size * torch.randn(*pose.shape[:-3], 1, pose.shape[-2], d, generator=random)
    guess = torch.cat([guess[..., :d] + off * (guess[..., d:] > 0), guess[..., d:]], dim=-1)
    return torch.where(pose[..., d:] > 0, pose, guess)


def body_height(pose: Tensor) -> Tensor:
    """Median over frames of the longest extent of the joints seen. pose (..., T, J, D + 1) -> (...), >= 0.

    The longest axis, so that a lying body counts as much as a standing one. Frames without any joint do not count.
    """
    d = pose.shape[-1] - 1
    seen = pose[..., d:] > 0
    highest = pose[..., :d].masked_fill(~seen, -math.inf).amax(-2)
    lowest = pose[..., :d].masked_fill(~seen, math.inf).amin(-2)
    extent = (highest - lowest).amax(-1)
    return extent.masked_fill(extent < 0, math.nan).nanmedian(-1).values.nan_to_num(0.0)


def _turn(dimensions: int, first: int, second: int, angles: Tensor) -> Tensor:
    """(B, D, D) rotations by (B,) angles in the plane of two axes."""
    turn = torch.eye(dimensions).repeat(len(angles), 1, 1)
    turn[:, first, first] = turn[:, second, second] = angles.cos()
    turn[:, first, second], turn[:, second, first] = -angles.sin(), angles.sin()
    return turn
