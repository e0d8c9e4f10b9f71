"""From raw joints to what a recurrent network wants to know: causal, parameter-free, and inside the step graph.

Invariant to where in the picture the body is and how large it appears. A missing joint keeps its mask at 0; its place
is carried along with the joints that are seen, so one dropped detection does not make the body jump.

All memory is state. `step` is written once and serves training (`forward` is a loop over it, without gradient, since
nothing here is learned), export and parity tests, so training and serving cannot differ.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.bundle.schema import StateTensor
from models.skeletons import Skeleton

RANGE_S = 4.0
"""Time constant of the leaking running range: how long a body remembers how far its joints went."""
SIZE_S = 3.0
"""Window of the running mean of the body's size: long against a crouch, short against an approach to the camera."""
_TINY = 1e-6


class PoseFeatures(nn.Module):
    """Features of one body per step.

    Input x (B, T, J, D + 1): D coordinates in any unit, last a confidence; confidence 0 marks a missing joint.
    Output (B, T, dim): joints about the centre, velocities, mask, pairwise distances, bone directions, distance to the
    ends of each joint's running range, velocity of the centre, size against its running mean, first-pose flag. All
    lengths are in units of the running mean of the body's radius.
    """

    def __init__(self, skeleton: Skeleton, rate_hz: float) -> None:
        super().__init__()
        self.joints = len(skeleton.joints)
        self.dimensions = skeleton.dimensions
        self.root = list(skeleton.root)
        self.leak = math.exp(-1.0 / (RANGE_S * rate_hz))
        self.size_steps = SIZE_S * rate_hz
        # Velocities in units a tenth of a second: of order one for lively movement, whatever the rate.
        self.speed = rate_hz / 10.0
        first, second = torch.triu_indices(self.joints, self.joints, 1).tolist()
        self.first, self.second = first, second
        self.bone_starts = [parent for parent, _ in skeleton.bones]
        self.bone_ends = [child for _, child in skeleton.bones]
        j, d = self.joints, self.dimensions
        self.dim = j * d + j * d + j + len(first) + len(self.bone_starts) * d + 2 * j * d + d + 2

    def state_tensors(self) -> tuple[StateTensor, ...]:
        """`joint_memory` (J, 3 D + 1): place, low and high reach, seen yet. `body_memory` (2,): poses seen, size."""
        memory = (self.joints, 3 * self.dimensions + 1)
        return (
            StateTensor(input="joint_memory", output="next_joint_memory", shape=memory),
            StateTensor(input="body_memory", output="next_body_memory", shape=(2,)),
        )

    def step(self, x: Tensor, joint_memory: Tensor, body_memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One frame. x (B, J, D + 1); returns features (B, dim) and the next memories."""
        d = self.dimensions
        before, low, high = joint_memory[..., :d], joint_memory[..., d : 2 * d], joint_memory[..., 2 * d : 3 * d]
        known = joint_memory[..., 3 * d :]  # (B, J, 1): 1 once the joint was seen
        count, size = body_memory[:, :1], body_memory[:, 1:]  # (B, 1) each
        mask = (x[..., d:] > 0).to(x.dtype)  # (B, J, 1)
        # A missing joint moves with the mean movement of those seen both now and before.
        both = mask * known
        shift = ((x[..., :d] - before) * both).sum(1) / both.sum(1).clamp(min=1.0)
        place = torch.where(mask > 0, x[..., :d], before + shift.unsqueeze(1))
        seen = torch.maximum(known, mask)
        # The centre is the mean of the root joints seen so far, else of all joints seen so far.
        root_seen, seen_count = seen[:, self.root], seen.sum(1)
        centre_root = (place[:, self.root] * root_seen).sum(1) / root_seen.sum(1).clamp(min=1.0)
        centre_all = (place * seen).sum(1) / seen_count.clamp(min=1.0)
        centre = torch.where(root_seen.sum(1) > 0, centre_root, centre_all)
        about = (place - centre.unsqueeze(1)) * seen
        radius = ((about * about).sum((1, 2)).unsqueeze(1) / seen_count.clamp(min=1.0)).clamp(min=1e-12).sqrt()
        present = (mask.sum(1) > 0).to(x.dtype)  # (B, 1): a pose without any joint teaches nothing about size
        next_count = count + present
        next_size = size + present * (radius - size) / next_count.clamp(min=1.0, max=self.size_steps)
        unit = next_size.clamp(min=_TINY).reciprocal()  # (B, 1)
        scale = unit.unsqueeze(2)

        joints = about * scale  # (B, J, D)
        velocity = (place - before) * known * scale * self.speed
        # A joint that appears begins its range where it is; then the range leaks towards the joint.
        low = joints + (torch.where(known > 0, low, joints) - joints).clamp(max=0.0) * self.leak
        high = joints + (torch.where(known > 0, high, joints) - joints).clamp(min=0.0) * self.leak
        apart = joints[:, self.first] - joints[:, self.second]
        pair_seen = (seen[:, self.first] * seen[:, self.second]).squeeze(2)
        distances = ((apart * apart).sum(2) + _TINY).sqrt() * pair_seen
        bones = joints[:, self.bone_ends] - joints[:, self.bone_starts]
        bone_seen = seen[:, self.bone_ends] * seen[:, self.bone_starts]
        directions = bones / ((bones * bones).sum(2, keepdim=True) + 1e-4).sqrt() * bone_seen
        drift = (velocity * seen).sum(1) / seen_count.clamp(min=1.0)
        features = torch.cat(
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
                (count == 0).to(x.dtype),
            ],
            dim=1,
        )
        memory = torch.cat([place * seen, low, high, seen], dim=2)
        return features, memory, torch.cat([next_count.clamp(max=self.size_steps), next_size], dim=1)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """A sequence from its initial state. x (B, T, J, D + 1) -> (B, T, dim)."""
        state = [x.new_zeros(x.shape[0], *tensor.shape) for tensor in self.state_tensors()]
        steps = []
        for t in range(x.shape[1]):
            features, *state = self.step(x[:, t], *state)
            steps.append(features)
        return torch.stack(steps, dim=1)
