"""Synthetic clips of people who do nothing: they stand, sit, lie or lean, arms in various places, hardly moving.

A classifier that was trained on actions alone names an action for a person who only stands there. These clips teach it
the background class. They are a plain kinematic model with made-up proportions; no recorded person is in them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from inkling.models.skeletons import BODY13, Skeleton, mapping

SYNTHETIC = "synthetic"
"""The `source` of such clips."""

# Offsets in body heights: x outward from the body's midline, y down, z towards the front.
_ARMS = (
    ((0.02, 0.17, 0.00), (0.03, 0.33, 0.02)),  # hanging
    ((0.03, 0.16, 0.02), (-0.09, 0.24, 0.12)),  # hands clasped before the body
    ((0.04, 0.16, -0.03), (-0.09, 0.27, -0.08)),  # and behind it
    ((0.12, 0.14, -0.03), (-0.01, 0.25, 0.02)),  # hand on the hip
    ((0.02, 0.16, 0.05), (-0.14, 0.12, 0.12)),  # arms folded
    ((0.03, 0.15, 0.05), (-0.03, 0.01, 0.12)),  # hand at the face or a telephone
    ((0.02, 0.14, 0.08), (0.00, 0.15, 0.23)),  # on a table
    ((0.03, 0.16, 0.06), (-0.02, 0.08, 0.17)),  # holding something before the chest
)  # (elbow, wrist) from the shoulder
STANDING = ((0.00, 0.25, 0.01), (0.01, 0.49, 0.00))
SITTING = ((0.03, 0.02, 0.23), (0.02, 0.26, 0.22))  # (knee, ankle) from the hip
_TRUNK = {"head": (0.0, -0.40, 0.02), "shoulder": (0.11, -0.29, 0.0), "hip": (0.075, 0.0, 0.0)}


def idle_clips(count: int, skeleton: Skeleton, rate_hz: float, random: torch.Generator) -> list[Tensor]:
    """`count` clips (T, J, D + 1) of 2 to 8 seconds, in pixels. SkeletonError for bodies unlike `body13` in 2D."""
    to_target = mapping(BODY13, skeleton)
    return [torch.from_numpy(to_target.apply(_clip(rate_hz, random).numpy())) for _ in range(count)]


def uniform(random: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=random))


def pick(random: torch.Generator, count: int) -> int:
    return int(torch.randint(count, (), generator=random))


def posture(random: torch.Generator, legs: tuple[tuple[float, ...], ...]) -> Tensor:
    """(13, 3) in body heights, about the middle of the hips."""
    same_arms = uniform(random, 0, 1) < 0.7
    left_arm = _ARMS[pick(random, len(_ARMS))]
    right_arm = left_arm if same_arms else _ARMS[pick(random, len(_ARMS))]
    body = torch.zeros(13, 3)
    body[0] = torch.tensor(_TRUNK["head"])
    wide = uniform(random, 0.8, 1.2)
    for side, arm, shift in ((1.0, left_arm, 0), (-1.0, right_arm, 1)):
        outward = torch.tensor([side, 1.0, 1.0])
        shoulder = torch.tensor(_TRUNK["shoulder"]) * outward * torch.tensor([wide, 1.0, 1.0])
        hip = torch.tensor(_TRUNK["hip"]) * outward * torch.tensor([wide, 1.0, 1.0])
        body[1 + shift], body[7 + shift] = shoulder, hip
        body[3 + shift], body[5 + shift] = (shoulder + torch.tensor(part) * outward for part in arm)
        stance = torch.tensor([side * uniform(random, -0.02, 0.06), 0.0, 0.0])
        body[9 + shift] = hip + torch.tensor(legs[0]) * outward + stance / 2
        body[11 + shift] = hip + torch.tensor(legs[1]) * outward + stance
    lean = uniform(random, -0.15, 0.25)
    upper = body[:7].clone()
    body[:7, 2] = upper[:, 2] - lean * upper[:, 1]
    return body + 0.012 * torch.randn(13, 3, generator=random)


def _clip(rate_hz: float, random: torch.Generator) -> Tensor:
    """(T, 13, 3) of x, y in pixels and confidence 1."""
    steps = max(4, round(uniform(random, 2.0, 8.0) * rate_hz))
    seconds = torch.arange(steps) / rate_hz
    legs = SITTING if uniform(random, 0, 1) < 0.3 else STANDING
    body = posture(random, legs).expand(steps, 13, 3).clone()
    if uniform(random, 0, 1) < 0.3:  # changes its posture, without haste
        other, begin = posture(random, legs), uniform(random, 0.0, 4.0)
        share = ((seconds - begin) / uniform(random, 2.0, 4.0)).clamp(0, 1)
        share = (share * share * (3 - 2 * share)).view(-1, 1, 1)
        body = body * (1 - share) + other * share
    body = body + sway(seconds, 13, uniform(random, 0.001, 0.010), random)
    # seen from anywhere around, a little from above or below, sometimes lying
    yaw, pitch = uniform(random, -math.pi, math.pi), math.radians(uniform(random, -15.0, 25.0))
    x = body[..., 0] * math.cos(yaw) + body[..., 2] * math.sin(yaw)
    z = body[..., 2] * math.cos(yaw) - body[..., 0] * math.sin(yaw)
    picture = torch.stack([x, body[..., 1] * math.cos(pitch) + z * math.sin(pitch)], dim=-1)
    if uniform(random, 0, 1) < 0.1:
        picture = picture.flip(-1) * torch.tensor([1.0 if uniform(random, 0, 1) < 0.5 else -1.0, 1.0])
    drift = torch.tensor([uniform(random, -0.03, 0.03), uniform(random, -0.01, 0.01)]) * seconds.view(-1, 1, 1)
    picture = picture + drift + sway(seconds, 1, uniform(random, 0.0, 0.02), random)[..., :2]
    picture = picture + uniform(random, 0.0, 0.012) * torch.randn(picture.shape, generator=random)
    height = uniform(random, 80.0, 700.0)
    return torch.cat([picture * height + 640.0, torch.ones(steps, 13, 1)], dim=-1)


def sway(seconds: Tensor, joints: int, reach: float, random: torch.Generator) -> Tensor:
    """(T, joints, 3): each joint wanders about its place, three slow waves of 2 to 9 seconds; reach in body heights."""
    periods = 2.0 + 7.0 * torch.rand(3, joints, 3, generator=random)
    phases = 2 * math.pi * torch.rand(3, joints, 3, generator=random)
    waves = torch.sin(2 * math.pi * seconds.view(-1, 1, 1, 1) / periods + phases)
    return reach * waves.sum(1)
