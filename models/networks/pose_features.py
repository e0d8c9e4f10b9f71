"""From raw joints to what a recurrent network wants to know: causal, parameter-free, and inside the step graph.

Invariant to where in the picture the body is and how large it appears. A missing joint keeps its mask at 0; its place
is carried along with the joints that are seen, so one dropped detection does not make the body jump.

All memory is state. Each part of a frame's features is written once, for `step`, which is exported, and for `forward`,
which trains (without gradient, since nothing here is learned), so training and serving cannot differ.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from models.bundle.schema import StateTensor
from models.skeletons import Skeleton

RANGE_S = 4.0
"""Time constant of the leaking running range: how long a body remembers how far its joints went."""
SIZE_S = 3.0
"""Window of the running mean of the body's size: long against a crouch, short against an approach to the camera."""
_TINY = 1e-6


class PoseConfig(BaseModel):
    """What is known of poses at each step besides what always is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    spans_s: tuple[Annotated[float, Field(gt=0, le=5)], ...] = (0.12, 0.32)
    """Seconds, each no less than a step: how far the joints have come since then. Velocities alone are of two frames,
    noisy, and a recurrent network that has few clips to learn from does not learn well to add them up."""


class PoseFeatures(nn.Module):
    """Features of one body per step.

    Input x (B, T, J, D + 1): D coordinates in any unit, last a confidence; confidence 0 marks a missing joint.
    Output (B, T, dim): joints about the centre, velocities, mask, pairwise distances, bone directions, distance to the
    ends of each joint's running range, velocity of the centre, size against its running mean, first-pose flag, ways of
    the joints over the spans. All lengths are in units of the running mean of the body's radius.
    """

    def __init__(self, skeleton: Skeleton, rate_hz: float, config: PoseConfig | None = None) -> None:
        super().__init__()
        self.joints = len(skeleton.joints)
        self.dimensions = skeleton.dimensions
        self.root = list(skeleton.root)
        self.leak = math.exp(-1.0 / (RANGE_S * rate_hz))
        self.size_steps = SIZE_S * rate_hz
        # Velocities in units a tenth of a second: of order one for lively movement, whatever the rate.
        self.speed = rate_hz / 10.0
        spans = (PoseConfig() if config is None else config).spans_s
        self.spans = sorted({max(1, round(seconds * rate_hz)) for seconds in spans})
        first, second = torch.triu_indices(self.joints, self.joints, 1).tolist()
        self.first, self.second = first, second
        self.bone_starts = [parent for parent, _ in skeleton.bones]
        self.bone_ends = [child for _, child in skeleton.bones]
        j, d = self.joints, self.dimensions
        self.dim = (
            j * d + j * d + j + len(first) + len(self.bone_starts) * d + 2 * j * d + d + 2 + len(self.spans) * j * d
        )

    def state_tensors(self) -> tuple[StateTensor, ...]:
        """`joint_memory` (J, 3 D + 1): place, low and high reach, seen yet. `body_memory` (2,): poses seen, size.

        `pose_memory` (longest span, J, D + 1), where there are spans: the last poses, the oldest first, and seen yet.
        """
        joints, d = self.joints, self.dimensions
        found = [
            StateTensor(input="joint_memory", output="next_joint_memory", shape=(joints, 3 * d + 1)),
            StateTensor(input="body_memory", output="next_body_memory", shape=(2,)),
        ]
        if self.spans:
            shape = (self.spans[-1], joints, d + 1)
            found.append(StateTensor(input="pose_memory", output="next_pose_memory", shape=shape))
        return tuple(found)

    def step(self, x: Tensor, joint_memory: Tensor, body_memory: Tensor, *poses: Tensor) -> tuple[Tensor, ...]:
        """One frame. x (B, J, D + 1); returns features (B, dim) and the next memories."""
        d = self.dimensions
        before, low, high = joint_memory[..., :d], joint_memory[..., d : 2 * d], joint_memory[..., 2 * d : 3 * d]
        known = joint_memory[..., 3 * d :]  # (B, J, 1): 1 once the joint was seen
        count, size = body_memory[:, :1], body_memory[:, 1:]  # (B, 1) each
        mask = (x[..., d:] > 0).to(x.dtype)  # (B, J, 1)
        place, seen = self._carried(x[..., :d], mask, before, known)
        about, radius = self._centred(place, seen)
        next_count, next_size = self._measured(mask, radius, count, size)
        unit = self._unit(next_size)  # (B, 1)
        joints = about * unit.unsqueeze(2)  # (B, J, D)
        low, high = self._reached(joints, low, high, known)
        features = self._described(joints, place - before, mask, seen, known, low, high, radius, unit, count)
        memory = torch.cat([place * seen, low, high, seen], dim=2), torch.cat([next_count, next_size], dim=1)
        if not self.spans:
            return features, *memory
        now = torch.cat([joints, seen], dim=2).unsqueeze(1)
        # before the first pose the body is taken to have stood still
        past = torch.where(count.view(-1, 1, 1, 1) > 0, poses[0], now)
        ways = [self._way(now[:, 0], past[:, -span], span) for span in self.spans]
        return torch.cat([features, *ways], dim=1), *memory, torch.cat([past[:, 1:], now], dim=1)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """A sequence from its initial state. x (B, T, J, D + 1) -> (B, T, dim).

        As `step` after `step`, but only what remembers goes through the steps one by one; all else sees them at once.
        """
        d, (rows, steps) = self.dimensions, x.shape[:2]
        mask = (x[..., d:] > 0).to(x.dtype)  # (B, T, J, 1)
        places, seens = [x.new_zeros(rows, self.joints, d)], [x.new_zeros(rows, self.joints, 1)]
        for point, there in zip(x[..., :d].unbind(1), mask.unbind(1), strict=True):
            place, seen = self._carried(point, there, places[-1], seens[-1])
            places.append(place)
            seens.append(seen)
        # what follows is the state after each step; [:, :-1] before it
        place, seen = torch.stack(places, 1), torch.stack(seens, 1)
        about, radius = self._centred(place[:, 1:].flatten(0, 1), seen[:, 1:].flatten(0, 1))
        about, radius = about.view(rows, steps, self.joints, d), radius.view(rows, steps, 1)
        counts, sizes = [x.new_zeros(rows, 1)], [x.new_zeros(rows, 1)]
        for t in range(steps):
            count, size = self._measured(mask[:, t], radius[:, t], counts[-1], sizes[-1])
            counts.append(count)
            sizes.append(size)
        unit = self._unit(torch.stack(sizes[1:], 1))  # (B, T, 1)
        joints = about * unit.unsqueeze(3)
        lows, highs = [x.new_zeros(rows, self.joints, d)], [x.new_zeros(rows, self.joints, d)]
        for t in range(steps):
            low, high = self._reached(joints[:, t], lows[-1], highs[-1], seens[t])
            lows.append(low)
            highs.append(high)
        moved, known = place[:, 1:] - place[:, :-1], seen[:, :-1]
        low, high, count = (torch.stack(parts, 1) for parts in (lows[1:], highs[1:], counts[:-1]))
        parts = (joints, moved, mask, seen[:, 1:], known, low, high, radius, unit, count)
        features = self._described(*(part.flatten(0, 1) for part in parts)).view(rows, steps, -1)
        if not self.spans:
            return features
        poses, at = torch.cat([joints, seen[:, 1:]], dim=3), torch.arange(steps, device=x.device)
        first = (count == 0).sum(1) - 1  # (B, 1): the step of the first pose
        ways = []
        for span in self.spans:
            then = torch.minimum(torch.maximum(at - span, first), at)
            past = poses[torch.arange(rows, device=x.device)[:, None], then]
            ways.append(self._way(poses.flatten(0, 1), past.flatten(0, 1), span).view(rows, steps, -1))
        return torch.cat([features, *ways], dim=2)

    # -- a frame's parts: the first, third and fourth remember ---------------------------------------------------
    def _carried(self, point: Tensor, mask: Tensor, before: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Where each joint is taken to be (B, J, D), and whether it was ever seen (B, J, 1)."""
        # A missing joint moves with the mean movement of those seen both now and before.
        both = mask * known
        shift = ((point - before) * both).sum(1) / both.sum(1).clamp(min=1.0)
        place = torch.where(mask > 0, point, before + shift.unsqueeze(1))
        return place, torch.maximum(known, mask)

    def _centred(self, place: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Joints about the body's centre (B, J, D), and their radius (B, 1)."""
        # The centre is the mean of the root joints seen so far, else of all joints seen so far.
        root_seen, seen_count = seen[:, self.root], seen.sum(1)
        centre_root = (place[:, self.root] * root_seen).sum(1) / root_seen.sum(1).clamp(min=1.0)
        centre_all = (place * seen).sum(1) / seen_count.clamp(min=1.0)
        centre = torch.where(root_seen.sum(1) > 0, centre_root, centre_all)
        about = (place - centre.unsqueeze(1)) * seen
        radius = ((about * about).sum((1, 2)).unsqueeze(1) / seen_count.clamp(min=1.0)).sqrt()
        return about, radius

    def _measured(self, mask: Tensor, radius: Tensor, count: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Poses with an extent so far, no more than `size_steps`, and the running mean of the radius, (B, 1) each."""
        # (B, 1): a pose without any joint, or of a single one ever, teaches nothing about size
        present = ((mask.sum(1) > 0) & (radius > _TINY)).to(mask.dtype)
        count = count + present
        size = size + present * (radius - size) / count.clamp(min=1.0, max=self.size_steps)
        return count.clamp(max=self.size_steps), size

    def _unit(self, size: Tensor) -> Tensor:
        """One over the size; 0, so that nothing has a length, while there is none."""
        return torch.where(size > 0, size.clamp(min=_TINY).reciprocal(), torch.zeros_like(size))

    def _reached(self, joints: Tensor, low: Tensor, high: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """The ends of each joint's running range, (B, J, D) each."""
        # A joint that appears begins its range where it is; then the range leaks towards the joint.
        low = joints + (torch.where(known > 0, low, joints) - joints).clamp(max=0.0) * self.leak
        high = joints + (torch.where(known > 0, high, joints) - joints).clamp(min=0.0) * self.leak
        return low, high

    def _way(self, now: Tensor, then: Tensor, span: int) -> Tensor:
        """How far each joint has come (B, J * D), of poses (B, J, D + 1) with what was seen yet as their last."""
        d = self.dimensions
        # As velocities, but falling with the root of the span only: noise adds up no faster, and slow ways count.
        scale = self.speed / math.sqrt(span)
        return ((now[..., :d] - then[..., :d]) * then[..., d:] * scale).flatten(1)

    def _described(
        self,
        joints: Tensor,
        moved: Tensor,
        mask: Tensor,
        seen: Tensor,
        known: Tensor,
        low: Tensor,
        high: Tensor,
        radius: Tensor,
        unit: Tensor,
        count: Tensor,
    ) -> Tensor:
        """(B, dim): the features of frames, given all that is remembered."""
        velocity = moved * known * unit.unsqueeze(2) * self.speed
        apart = joints[:, self.first] - joints[:, self.second]
        pair_seen = (seen[:, self.first] * seen[:, self.second]).squeeze(2)
        distances = ((apart * apart).sum(2) + _TINY).sqrt() * pair_seen
        bones = joints[:, self.bone_ends] - joints[:, self.bone_starts]
        bone_seen = seen[:, self.bone_ends] * seen[:, self.bone_starts]
        directions = bones / ((bones * bones).sum(2, keepdim=True) + 1e-4).sqrt() * bone_seen
        drift = (velocity * seen).sum(1) / seen.sum(1).clamp(min=1.0)
        return torch.cat(
            [
                joints.flatten(1),
                velocity.flatten(1),
                mask.flatten(1),
                distances,
                directions.flatten(1),
                (high - joints).flatten(1),
                (joints - low).flatten(1),
                drift,
                radius * unit,
                (count == 0).to(joints.dtype),
            ],
            dim=1,
        )
