"""Features of a person's joints and of the picture that they are in, side by side: the extractor of two inputs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inkling.models.bundle.schema import StateTensor
from inkling.models.networks.frames import FrameFeatures
from inkling.models.networks.network import Inputs
from inkling.models.networks.pose_features import PoseFeatures

POSE, FRAME = "pose", "frame"
"""Names of the two inputs."""


class JointsAndPicture(nn.Module):
    """x {`pose`: (B, T, J, D + 1), `frame`: (B, T, H, W, 3) uint8, or what a frozen backbone made of it (B, T, F)} ->
    (B, T, `dim`): first the `pose_dim` features of the joints, then those of the picture."""

    def __init__(self, pose: PoseFeatures, frame: FrameFeatures) -> None:
        super().__init__()
        self.pose, self.frame = pose, frame
        self.pose_dim, self.dim = pose.dim, pose.dim + frame.dim

    def state_tensors(self) -> tuple[StateTensor, ...]:
        """Those of the joints, then those of the picture."""
        return (*self.pose.state_tensors(), *self.frame.state_tensors())

    def forward(self, x: Inputs) -> Tensor:
        """Sequences from their initial state."""
        pose, frame = _both(x)
        return torch.cat([self.pose(pose), self.frame(frame)], dim=-1)

    def step(self, x: Inputs, *state: Tensor) -> tuple[Tensor, ...]:
        """One frame. x as `forward`, without T -> (features (B, dim), *next_state)."""
        pose, frame = _both(x)
        count = len(self.pose.state_tensors())
        joints, *of_pose = self.pose.step(pose, *state[:count])
        picture, *of_frame = self.frame.step(frame, *state[count:])
        return (torch.cat([joints, picture], dim=-1), *of_pose, *of_frame)


def _both(x: Inputs) -> tuple[Tensor, Tensor]:
    if isinstance(x, Tensor):
        raise TypeError("this network is given two inputs, pose and frame, each by its name")
    return x[POSE], x[FRAME]
