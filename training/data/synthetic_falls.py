"""Synthetic clips of people who fall, and of people who nearly do: they sit down, crouch, bend, kneel or lie down.

Recorded falls are few and of few kinds: these are from standing, from walking, from a chair and from a crouch, in every
direction, to every side of a camera. A plain kinematic model with made-up proportions, as that of `synthetic_idle`;
no recorded person is in them. They stand beside recorded falls, not in their place.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from inkling.models.skeletons import BODY13, Skeleton, mapping
from inkling.training.data.synthetic_idle import SITTING, STANDING, pick, posture, sway, uniform
from inkling.training.labels import UNLABELLED, anything_but

SYNTHETIC_FALLS = "synthetic falls"
"""The `source` of such clips."""
CROUCHING = ((0.06, -0.04, 0.22), (0.05, 0.17, 0.03))
KNEELING = ((0.02, 0.23, 0.06), (0.01, 0.26, -0.18))  # (knee, ankle) from the hip, in body heights
SEEN_S = 0.6
"""Seconds before lying from which on a fall is one: what comes before could still be anything."""
AFTER_S = 0.3
"""Seconds after lying that are still the fall."""
SETTLED_S = 0.8
"""Seconds after lying from which on the person is idle."""


class Move(NamedTuple):
    """A move of the body: in `seconds`, to a posture (13, 3) and a tilt of the whole body.

    power: 1 is an even pace, 2 gathers speed as a fall does, 0 begins and ends slowly. walks: legs swing meanwhile.
    """

    seconds: float
    posture: Tensor
    tilt: float
    power: float = 0.0
    walks: bool = False


def fall_clips(
    count: int, skeleton: Skeleton, rate_hz: float, fall: int, idle: int, random: torch.Generator
) -> list[tuple[Tensor, Tensor]]:
    """`count` clips (T, J, D + 1) in pixels, with the targets (T,) of their steps; about half of them fall.

    fall, idle: the indices of these labels. Raises SkeletonError for bodies unlike `body13` in 2D.
    """
    to_target = mapping(BODY13, skeleton)
    made = (_clip(rate_hz, fall, idle, random) for _ in range(count))
    return [(torch.from_numpy(to_target.apply(pose.numpy())), targets) for pose, targets in made]


def _clip(rate_hz: float, fall: int, idle: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    falls = uniform(random, 0, 1) < 0.5
    moves, lies_s = _falling(random) if falls else (_nearly(random), math.inf)
    body, way = _body(moves, rate_hz, random)
    seconds = torch.arange(len(body)) / rate_hz
    targets = torch.full((len(body),), anything_but(fall))
    if falls:
        begins_s = lies_s - moves[-2].seconds - (moves[-3].seconds if len(moves) > 3 else 0.0)
        targets[seconds >= max(0.0, begins_s)] = UNLABELLED
        targets[(seconds >= max(begins_s, lies_s - SEEN_S)) & (seconds < lies_s + AFTER_S)] = fall
        targets[seconds >= lies_s + SETTLED_S] = idle
    pose = _seen(body, way, random)
    # estimators lose sight of people who lie
    lost = torch.rand(len(body), 13, 1, generator=random) < uniform(random, 0, 0.4) * (seconds >= lies_s)[:, None, None]
    return pose.masked_fill(lost, 0.0), targets


def _falling(random: torch.Generator) -> tuple[list[Move], float]:
    """The moves of a fall, and the second at which the person lies."""
    start = pick(random, 4)  # stands, walks, sits, crouches or kneels
    legs = (STANDING, STANDING, SITTING, CROUCHING if uniform(random, 0, 1) < 0.5 else KNEELING)[start]
    before = posture(random, legs)
    moves = [Move(uniform(random, 0.7, 3.0), before, uniform(random, -0.05, 0.08), walks=start == 1)]
    flat = posture(random, STANDING)
    bent = uniform(random, 0, 1)
    flat = (1 - bent * 0.8) * flat + bent * 0.8 * posture(random, SITTING)
    tilt = math.pi / 2 * uniform(random, 0.8, 1.1)
    if start < 2 and uniform(random, 0, 1) < 0.4:  # the knees give way first
        knees = posture(random, CROUCHING if uniform(random, 0, 1) < 0.5 else KNEELING)
        moves.append(Move(uniform(random, 0.25, 0.5), knees, uniform(random, 0.1, 0.5), 1.5))
        moves.append(Move(uniform(random, 0.3, 0.6), flat, tilt, 1.2))
    else:
        moves.append(Move(uniform(random, 0.6, 1.3), flat, tilt, uniform(random, 1.6, 2.6)))
    lies_s = sum(move.seconds for move in moves)
    return [*moves, Move(uniform(random, 0.8, 2.5), flat, tilt)], lies_s


def _nearly(random: torch.Generator) -> list[Move]:
    """The moves of somebody who goes down without a fall, and mostly comes up again, or only walks."""
    stands = posture(random, STANDING)
    moves = [Move(uniform(random, 0.7, 3.0), stands, 0.0, walks=uniform(random, 0, 1) < 0.5)]
    kind = pick(random, 6)
    if kind == 5:
        return [Move(uniform(random, 2.0, 5.0), stands, 0.0, walks=True)]
    if kind == 4:  # lies down, by way of sitting
        flat, tilt = posture(random, STANDING), math.pi / 2 * uniform(random, 0.85, 1.05)
        moves.append(Move(uniform(random, 0.8, 1.6), posture(random, SITTING), 0.0))
        return [*moves, Move(uniform(random, 1.4, 3.0), flat, tilt), Move(uniform(random, 0.5, 2.0), flat, tilt)]
    if kind == 3:  # bends down
        low = _bent(posture(random, STANDING), uniform(random, 0.8, 1.9))
        seconds = uniform(random, 0.6, 1.5)
    else:
        low = posture(random, (SITTING, CROUCHING, KNEELING)[kind])
        seconds = uniform(random, 0.45, 1.5)
        low = _bent(low, uniform(random, 0.0, 0.8))
    moves += [Move(seconds, low, uniform(random, -0.05, 0.15)), Move(uniform(random, 0.2, 2.0), low, 0.0)]
    if uniform(random, 0, 1) < 0.7:
        moves.append(Move(uniform(random, 0.6, 1.5), stands, 0.0))
    return moves


def _bent(body: Tensor, angle: float) -> Tensor:
    """The body with all above the hips turned forwards. (13, 3)."""
    upper = body[:7]
    down = upper[:, 1] * math.cos(angle) + upper[:, 2] * math.sin(angle)
    forwards = upper[:, 2] * math.cos(angle) - upper[:, 1] * math.sin(angle)
    return torch.cat([torch.stack([upper[:, 0], down, forwards], -1), body[7:]])


def _body(moves: list[Move], rate_hz: float, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """(T, 13, 3), its lowest joint on the ground at y = 0, and the ways (T, 2) over the ground of the walking."""
    parts, tilts, walking = [], [], []
    last, leaning = moves[0].posture, moves[0].tilt
    for move in moves:
        steps = max(2, round(move.seconds * rate_hz))
        share = torch.arange(1, steps + 1) / steps
        share = share**move.power if move.power else share * share * (3 - 2 * share)
        parts.append(last + (move.posture - last) * share.view(-1, 1, 1))
        tilts.append(leaning + (move.tilt - leaning) * share)
        walking.append(torch.full((steps,), float(move.walks)))
        last, leaning = move.posture, move.tilt
    body, tilt, walks = torch.cat(parts), torch.cat(tilts), torch.cat(walking)
    body = _walked(body, walks, rate_hz, random)
    body = body + sway(torch.arange(len(body)) / rate_hz, 13, uniform(random, 0.001, 0.01), random)
    towards = uniform(random, -math.pi, math.pi)  # of the fall, 0: forwards
    body = _tilted(body, tilt, towards)
    slips = uniform(random, 0, 1) * (tilt / (math.pi / 2)).clamp(0, 1)
    held = body[:, 11:].mean(1) * (1 - slips)[:, None]  # feet that stay where they are take the hips along
    body = body - torch.stack([held[:, 0], body[..., 1].amax(1), held[:, 2]], -1)[:, None]
    return body, (walks.cumsum(0) / rate_hz * uniform(random, 0.4, 0.9))


def _walked(body: Tensor, walks: Tensor, rate_hz: float, random: torch.Generator) -> Tensor:
    """With legs and arms that swing where the body walks."""
    phase = 2 * math.pi * uniform(random, 0.8, 1.2) * torch.arange(len(body)) / rate_hz + uniform(random, 0, 6)
    reach, body = uniform(random, 0.25, 0.5), body.clone()
    for side, at in ((0, phase), (1, phase + math.pi)):
        thigh, bends = reach * at.sin(), 0.9 * (at + 0.6).cos().clamp(min=0)
        knee = 0.25 * torch.stack([0 * at, thigh.cos(), thigh.sin()], -1)
        shin = 0.24 * torch.stack([0 * at, (thigh - bends).cos(), (thigh - bends).sin()], -1)
        hip = body[:, 7 + side]
        moved = {9: hip + knee, 11: hip + knee + shin}
        moved |= {
            joint: body[:, joint] - torch.stack([0 * at, 0 * at, far * thigh], -1)
            for joint, far in ((3, 0.1), (5, 0.3))
        }
        for joint, place in moved.items():
            body[:, joint + side] = torch.where(walks[:, None] > 0, place, body[:, joint + side])
    return body


def _tilted(body: Tensor, angle: Tensor, towards: float) -> Tensor:
    """The whole body (T, 13, 3) turned by angles (T,) about a horizontal axis, its head going `towards`."""
    forwards, sideways = math.cos(towards), math.sin(towards)
    x, y, z = body.unbind(-1)
    along, across = forwards * z + sideways * x, forwards * x - sideways * z
    sine, cosine = angle.sin()[:, None], angle.cos()[:, None]
    along, y = along * cosine - y * sine, y * cosine + along * sine
    return torch.stack([forwards * across + sideways * along, y, forwards * along - sideways * across], -1)


def _seen(body: Tensor, way: Tensor, random: torch.Generator) -> Tensor:
    """(T, 13, 3) of x, y in pixels and confidence 1: from anywhere around, on a level, high or in the ceiling."""
    yaw = uniform(random, -math.pi, math.pi)
    high = uniform(random, 0, 1) < 0.2
    pitch = math.radians(uniform(random, 45.0, 85.0) if high else uniform(random, -5.0, 30.0))
    body = torch.cat([body[..., :2], body[..., 2:] + way.view(-1, 1, 1)], -1)
    x = body[..., 0] * math.cos(yaw) + body[..., 2] * math.sin(yaw)
    z = body[..., 2] * math.cos(yaw) - body[..., 0] * math.sin(yaw)
    up = body[..., 1] + 0.45
    # z is towards the camera
    y, depth = up * math.cos(pitch) + z * math.sin(pitch), up * math.sin(pitch) - z * math.cos(pitch)
    distance = uniform(random, 2.0, 6.0)
    scale = 1 / (1 + (depth / distance).clamp(min=-0.6))
    picture = torch.stack([x * scale, y * scale], -1)
    picture = picture + uniform(random, 0.0, 0.015) * torch.randn(picture.shape, generator=random)
    height = uniform(random, 80.0, 500.0)
    return torch.cat([picture * height + 640.0, torch.ones(len(body), 13, 1)], -1)
