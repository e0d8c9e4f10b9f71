"""From the joints of a step to an action feature: convolutions over each joint by itself, then over all of them.

The encoder of Li et al. ('Co-occurrence Feature Learning from Skeleton Data', 2018), as paper C has it (Wang, 'Action
Prediction Research Based on Knowledge Distillation'): two 1 x 1 convolutions see one joint at a time (point level);
then joints become channels, and convolutions see all of them at once (global level). Paper C gives it coordinates;
here a joint is its place about the body's centre, its velocity, and whether it is seen, all of which `PoseFeatures`
knows, so that no step depends on where in the picture the body is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POINT = (64, 32)
"""Channels of the two convolutions at the level of points."""
GLOBAL = (64, 32)
"""Channels of the two convolutions at the level of the whole body."""


class JointEncoder(nn.Module):
    """Features of poses (N, P) of `joints` joints in `dimensions` dimensions -> action features (N, `dim`)."""

    def __init__(self, joints: int, dimensions: int, dim: int) -> None:
        super().__init__()
        self.sizes = [joints * dimensions, joints * dimensions, joints]
        self.joints, self.dim = joints, dim
        self.point_1, self.point_2 = nn.Linear(2 * dimensions + 1, POINT[0]), nn.Linear(POINT[0], POINT[1])
        self.global_1 = nn.Conv1d(joints, GLOBAL[0], 3, padding=1)
        self.global_2 = nn.Conv1d(GLOBAL[0], GLOBAL[1], 3, padding=1)
        self.join = nn.Linear(GLOBAL[1] * POINT[1], dim)

    def forward(self, features: Tensor) -> Tensor:
        """(N, P), of which place, velocity and mask of each joint come first (`PoseFeatures`) -> (N, dim)."""
        place, velocity, seen = torch.split(features[:, : sum(self.sizes)], self.sizes, dim=1)
        parts = [part.reshape(-1, self.joints, part.shape[1] // self.joints) for part in (place, velocity, seen)]
        x = torch.cat(parts, dim=2)  # (N, J, 2 D + 1)
        x = F.relu(self.point_2(F.relu(self.point_1(x))))  # (N, J, 32): joints are channels now
        x = F.relu(self.global_2(F.relu(self.global_1(x))))
        return F.relu(self.join(x.flatten(1)))
