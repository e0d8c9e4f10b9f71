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
from torch.nn import functional as F

from inkling.models.bundle.schema import StateTensor
from inkling.models.skeletons import Skeleton

RANGE_S = 4.0
"""Time constant of the leaking running range: how long a body remembers how far its joints went."""
SIZE_S = 3.0
"""Window of the running mean of the body's size: long against a crouch, short against an approach to the camera."""
_TINY = 1e-6


class PoseConfig(BaseModel):
    """What is known of poses at each step besides what always is."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    spans_s: tuple[Annotated[float, Field(gt=0, le=5)], ...] = (0.12, 0.32)
    """Seconds, each no less than a step: how far the joints have come since then. Velocities alone are of two frames,
    noisy, and a recurrent network that has few clips to learn from does not learn well to add them up."""
    speeds: bool = True
    """How fast each joint moves, whichever way: its velocity and its ways over the spans as lengths."""
    centre_spans_s: tuple[Annotated[float, Field(gt=0, le=5)], ...] = ()
    """Seconds, each no less than a step: how far the whole body has come since then. All else but its velocity is about
    the body's centre. Falling and sitting down move that; where cameras follow people, it says little."""


class PoseFeatures(nn.Module):
    """Features of one body per step.

    Input x (B, T, J, D + 1): D coordinates in any unit, last a confidence; confidence 0 marks a missing joint.
    Output (B, T, dim): joints about the centre, velocities, mask, pairwise distances, bone directions, distance to the
    ends of each joint's running range, velocity of the centre, size against its running mean, first-pose flag, ways of
    the joints over the spans, their speeds, ways of the centre. All lengths are in units of the running mean of the
    body's radius.
    """

    ends: Tensor
    starts: Tensor
    softening: Tensor
    roots: Tensor
    pace: Tensor
    back: Tensor
    window: Tensor

    def __init__(self, skeleton: Skeleton, rate_hz: float, config: PoseConfig | None = None) -> None:
        super().__init__()
        self.joints = len(skeleton.joints)
        self.dimensions = skeleton.dimensions
        self.leak = math.exp(-1.0 / (RANGE_S * rate_hz))
        self.size_steps = SIZE_S * rate_hz
        # Velocities in units a tenth of a second: of order one for lively movement, whatever the rate.
        self.speed = rate_hz / 10.0
        config = PoseConfig() if config is None else config
        self.spans = sorted({max(1, round(seconds * rate_hz)) for seconds in config.spans_s})
        self.speeds = config.speeds
        self.centre_spans = sorted({max(1, round(seconds * rate_hz)) for seconds in config.centre_spans_s})
        # As velocities, but falling with the root of the span only: noise adds up no faster, and slow ways count.
        pace = torch.tensor([rate_hz / 10.0 / math.sqrt(span) for span in self.spans]).view(-1, 1, 1, 1)
        # the last steps of each span of the centre, with a pace of the same kind
        longest = max(self.centre_spans, default=0)
        window = [[0.0] * (longest - n) + [self.speed / math.sqrt(n)] * n for n in self.centre_spans]
        back = torch.tensor([max(self.spans, default=0) - span for span in self.spans], dtype=torch.int64)
        self.register_buffer("pace", pace, persistent=False)
        self.register_buffer("back", back, persistent=False)
        self.register_buffer("window", torch.tensor(window), persistent=False)
        # Every two joints, then the ends of every bone: differences of both kinds are taken together.
        first, second = torch.triu_indices(self.joints, self.joints, 1)
        self.pairs, bones = len(first), torch.tensor(skeleton.bones, dtype=torch.int64).view(-1, 2)
        softening = torch.tensor([_TINY] * self.pairs + [1e-4] * len(bones)).view(-1, 1)
        self.register_buffer("ends", torch.cat([first, bones[:, 1]]), persistent=False)
        self.register_buffer("starts", torch.cat([second, bones[:, 0]]), persistent=False)
        self.register_buffer("softening", softening, persistent=False)
        self.register_buffer("roots", torch.tensor(skeleton.root), persistent=False)
        j, d = self.joints, self.dimensions
        self.dim = j * d + j * d + j + self.pairs + len(bones) * d + 2 * j * d + d + 2
        self.dim += len(self.spans) * j * d + (1 + len(self.spans)) * j * self.speeds + len(self.centre_spans) * d

    def state_tensors(self) -> tuple[StateTensor, ...]:
        """`joint_memory` (J, 3 D + 1): place, low and high reach, seen yet. `body_memory` (2,): poses seen, size.

        `pose_memory` (longest span, J, D + 1), where there are spans: the last poses, the oldest first, and seen yet.
        `centre_memory` (longest span of the centre, D), where there are such: how far it went in each of the last
        steps, the oldest first.
        """
        joints, d = self.joints, self.dimensions
        found = [
            StateTensor(input="joint_memory", output="next_joint_memory", shape=(joints, 3 * d + 1)),
            StateTensor(input="body_memory", output="next_body_memory", shape=(2,)),
        ]
        if self.spans:
            shape = (self.spans[-1], joints, d + 1)
            found.append(StateTensor(input="pose_memory", output="next_pose_memory", shape=shape))
        if self.centre_spans:
            found.append(
                StateTensor(input="centre_memory", output="next_centre_memory", shape=(self.centre_spans[-1], d))
            )
        return tuple(found)

    def step(self, x: Tensor, joint_memory: Tensor, body_memory: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        """One frame. x (B, J, D + 1); others: `pose_memory`, `centre_memory`; returns features (B, dim) and the next
        memories."""
        d = self.dimensions
        now, memory = _batch_last(x), _batch_last(joint_memory)
        before, low, high, known = torch.split(
            memory, [d, d, d, 1], dim=1
        )  # known (J, 1, B): 1 once the joint was seen
        count, size = torch.split(body_memory.t(), [1, 1])  # (1, B) each
        point, confidence = torch.split(now, [d, 1], dim=1)
        mask = (confidence > 0).to(x.dtype)  # (J, 1, B)
        moved, seen = self._moved(point, mask, before, known)
        place = before + moved
        about, radius = self._centred(place, seen)
        next_count, next_size = self._measured(mask, radius, count, size)
        unit = self._unit(next_size)  # (1, B)
        joints = about * unit  # (J, D, B)
        below, above = self._reach(joints, low, high, known)
        features = self._described(joints, moved, mask, seen, known, below, above, radius, unit, count)
        memory = torch.cat([place * seen, joints - below, joints + above, seen], dim=1)
        memories = [_batch_first(memory), torch.cat([next_count, next_size]).t()]
        ways = None
        if self.spans:
            pose = torch.cat([joints, seen], dim=1)  # (J, D + 1, B)
            latest = _batch_first(pose).unsqueeze(1)
            # before the first pose the body is taken to have stood still
            past = torch.where(body_memory[:, :1, None, None] > 0, others[0], latest)
            then = past.index_select(1, self.back).flatten(1).t().reshape(len(self.spans), *pose.shape)
            ways = self._ways(pose, then)
            memories.append(torch.cat([past[:, 1:], latest], dim=1))
        drift = None
        if self.centre_spans:
            drifts = torch.cat([others[-1][:, 1:], self._drift(moved, seen, known).t().unsqueeze(1)], dim=1)
            drift = (self.window @ drifts).flatten(1).t() * unit
            memories.append(drifts)
        return self._timed(features, ways, drift).t(), *memories

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """A sequence from its initial state. x (B, T, J, D + 1) -> (B, T, dim).

        As `step` after `step`, but only what remembers goes through the steps one by one; all else sees them at once.
        """
        d, (rows, steps) = self.dimensions, x.shape[:2]
        now = x.permute(1, 2, 3, 0).contiguous()
        masks = (now[:, :, d:] > 0).to(x.dtype)  # (T, J, 1, B)
        places, seens, moves = [x.new_zeros(self.joints, d, rows)], [x.new_zeros(self.joints, 1, rows)], []
        for point, there in zip(now[:, :, :d], masks, strict=True):
            moved, seen = self._moved(point, there, places[-1], seens[-1])
            moves.append(moved)
            places.append(places[-1] + moved)
            seens.append(seen)
        # Steps beside each other, (J, D, T * B); seens[:-1] is what was known before each
        place, seen, known, moved, mask = (
            torch.cat(list(parts), 2) for parts in (places[1:], seens[1:], seens[:-1], moves, masks)
        )
        about, radius = self._centred(place, seen)
        counts, sizes = [x.new_zeros(1, rows)], [x.new_zeros(1, rows)]
        for there, extent in zip(masks, torch.split(radius, rows, 1), strict=True):
            count, size = self._measured(there, extent, counts[-1], sizes[-1])
            counts.append(count)
            sizes.append(size)
        count, unit = torch.cat(counts[:-1], 1), self._unit(torch.cat(sizes[1:], 1))
        joints = about * unit
        low, high, belows, aboves = places[0], places[0], [], []
        for t, there in enumerate(torch.split(joints, rows, 2)):
            below, above = self._reach(there, low, high, seens[t])
            low, high = there - below, there + above
            belows.append(below)
            aboves.append(above)
        below, above = torch.cat(belows, 2), torch.cat(aboves, 2)
        features = self._described(joints, moved, mask, seen, known, below, above, radius, unit, count)
        poses = torch.cat([joints, seen], 1).view(self.joints, d + 1, steps, rows)
        at = torch.arange(steps, device=x.device)
        first = (count.view(steps, rows) == 0).sum(0) - 1  # (B,): the step of the first pose
        past = []
        for span in self.spans:
            then = torch.minimum(torch.maximum(at[:, None] - span, first), at[:, None])  # (T, B)
            past.append(poses[:, :, then, torch.arange(rows, device=x.device)].flatten(2))
        ways = self._ways(poses.flatten(2), torch.stack(past)) if past else None
        drift = None
        if self.centre_spans:
            drifts = self._drift(moved, seen, known).view(d, steps, rows)
            longest = self.window.shape[1]  # nothing went before the first step
            last = F.pad(drifts, (0, 0, longest - 1, 0)).unfold(1, longest, 1)  # (D, T, B, longest)
            drift = (last @ self.window.t()).permute(3, 0, 1, 2).reshape(-1, steps * rows) * unit
        return self._timed(features, ways, drift).view(-1, steps, rows).permute(2, 1, 0).contiguous()

    # -- a frame's parts: the first, third and fourth remember. The batch is last: sums over joints and products with
    # what holds for a whole joint or body are then of long rows, which every runtime is quick at ---------------------
    def _moved(self, point: Tensor, mask: Tensor, before: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """How far each joint is taken to have moved (J, D, B), and whether it was ever seen (J, 1, B)."""
        # A missing joint moves with the mean movement of those seen both now and before.
        moved, both = point - before, mask * known
        shift = (moved * both).sum(0) / both.sum(0).clamp(min=1.0)
        return torch.where(mask > 0, moved, shift), torch.maximum(known, mask)

    def _centred(self, place: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Joints about the body's centre (J, D, B), and their radius (1, B)."""
        # The centre is the mean of the root joints seen so far, else of all joints seen so far.
        held, seen_count = place * seen, seen.sum(0).clamp(min=1.0)
        root_seen = seen.index_select(0, self.roots).sum(0)
        centre_root = held.index_select(0, self.roots).sum(0) / root_seen.clamp(min=1.0)
        centre = torch.where(root_seen > 0, centre_root, held.sum(0) / seen_count)
        about = (place - centre) * seen
        return about, ((about * about).sum((0, 1)).unsqueeze(0) / seen_count).sqrt()

    def _measured(self, mask: Tensor, radius: Tensor, count: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Poses with an extent so far, no more than `size_steps`, and the running mean of the radius, (1, B) each."""
        # (1, B): a pose without any joint, or of a single one ever, teaches nothing about size
        present = ((mask.sum(0) > 0) & (radius > _TINY)).to(mask.dtype)
        count = count + present
        size = size + present * (radius - size) / count.clamp(min=1.0, max=self.size_steps)
        return count.clamp(max=self.size_steps), size

    def _unit(self, size: Tensor) -> Tensor:
        """One over the size; 0, so that nothing has a length, while there is none."""
        return torch.where(size > 0, size.clamp(min=_TINY).reciprocal(), torch.zeros_like(size))

    def _reach(self, joints: Tensor, low: Tensor, high: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """How far below and above each joint its running range reaches, (J, D, B) each, 0 or more."""
        # A joint that appears begins its range where it is; then the range leaks towards the joint.
        leak = known * self.leak
        return torch.relu(joints - low) * leak, torch.relu(high - joints) * leak

    def _ways(self, now: Tensor, then: Tensor) -> Tensor:
        """How far each joint has come (S * J, D, B): poses (J, D + 1, B) now, (S, J, D + 1, B) a span ago each; their
        last is what was seen yet."""
        place, seen = torch.split(then, [self.dimensions, 1], dim=2)
        return ((now[:, : self.dimensions] - place) * (seen * self.pace)).flatten(0, 1)

    def _drift(self, moved: Tensor, seen: Tensor, known: Tensor) -> Tensor:
        """How far the whole body went in a step, (D, B): the mean of joints known before, which no joint that is seen
        for the first time moves."""
        return (moved * known).sum(0) / seen.sum(0).clamp(min=1.0)

    def _timed(self, features: list[Tensor], ways: Tensor | None, drift: Tensor | None) -> Tensor:
        """(dim, B): the features of frames, among them velocities second, with the ways to them (S * J, D, B), all
        speeds, and the ways of the whole body (S * D, B)."""
        moves, found = features[1], [part.flatten(0, 1) if part.dim() == 3 else part for part in features]
        if ways is not None:
            moves = torch.cat([moves, ways])
            found.append(ways.flatten(0, 1))
        if self.speeds:
            found.append(((moves * moves).sum(1) + _TINY).sqrt())
        if drift is not None:
            found.append(drift)
        return torch.cat(found)

    def _described(
        self,
        joints: Tensor,
        moved: Tensor,
        mask: Tensor,
        seen: Tensor,
        known: Tensor,
        below: Tensor,
        above: Tensor,
        radius: Tensor,
        unit: Tensor,
        count: Tensor,
    ) -> list[Tensor]:
        """(N, D, B) or (N, B) each: what features of frames say, given all that is remembered."""
        velocity = moved * (known * (unit * self.speed))  # of joints known before, and so seen
        apart = joints.index_select(0, self.ends) - joints.index_select(0, self.starts)
        both_seen = (seen.index_select(0, self.ends) * seen.index_select(0, self.starts)).squeeze(1)
        length = ((apart * apart).sum(1) + self.softening).sqrt()
        distances = length[: self.pairs] * both_seen[: self.pairs]
        directions = apart[self.pairs :] * (both_seen[self.pairs :] / length[self.pairs :]).unsqueeze(1)
        return [
            joints,
            velocity,
            mask,
            distances,
            directions,
            above,
            below,
            velocity.sum(0) / seen.sum(0).clamp(min=1.0),  # of the centre
            radius * unit,
            (count == 0).to(joints.dtype),
        ]


def _batch_last(x: Tensor) -> Tensor:
    """(B, J, C) -> (J, C, B). By way of a matrix: onnxruntime moves a transposition of three axes behind what follows,
    which would then run with the batch first again."""
    return x.flatten(1).t().reshape(*x.shape[1:], -1)


def _batch_first(x: Tensor) -> Tensor:
    """(J, C, B) -> (B, J, C)."""
    return x.flatten(0, 1).t().reshape(-1, *x.shape[:2])
