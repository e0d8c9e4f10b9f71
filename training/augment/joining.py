"""Clips joined as an endless stream would have them: one action, a short passage, the next, without a reset between.

A recurrent network that always starts at a clip's first frame does badly on a stream: there its state is old and comes
from another action. Joined clips teach it to forget the past.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inkling.training.labels import UNLABELLED


def join(before: Tensor, targets_before: Tensor, pose: Tensor, targets: Tensor, passage: int) -> tuple[Tensor, Tensor]:
    """One body doing `before` and then `pose`.

    before (S, J, D + 1) and pose (T, J, D + 1), with their targets (S,) and (T,). `before` is moved and scaled so that
    its last frame lies where the first one of `pose` does; `passage` steps lead over, the joints seen on both sides
    going straight. Returns the joined clip (S + passage + T, J, D + 1) and its targets (S + passage + T,); the passage
    has none.
    """
    end, begin = before[-1], pose[0]
    shift, scale = _fit(end, begin)
    seen = before[..., -1:] > 0
    place = (before[..., :-1] * scale + shift) * seen
    before = torch.cat([place, before[..., -1:]], dim=-1)
    share = (torch.arange(1, passage + 1) / (passage + 1)).view(-1, 1, 1)
    both = ((before[-1, :, -1:] > 0) & (begin[:, -1:] > 0)).to(pose.dtype)
    between = (before[-1] * (1 - share) + begin * share) * both
    none = targets.new_full((passage,), UNLABELLED)
    return torch.cat([before, between, pose]), torch.cat([targets_before, none, targets])


def _fit(frame: Tensor, onto: Tensor) -> tuple[Tensor, Tensor]:
    """Shift (D,) and scale () that give one frame's joints the centre and spread of another's. Frames (J, D + 1)."""
    seen = (frame[:, -1] > 0) & (onto[:, -1] > 0)
    if int(seen.sum()) < 2:
        return torch.zeros(frame.shape[1] - 1), torch.ones(())
    here, there = frame[seen, :-1], onto[seen, :-1]
    spread = (here - here.mean(0)).norm()
    scale = (there - there.mean(0)).norm() / spread if spread > 0 else torch.ones(())
    return there.mean(0) - here.mean(0) * scale, scale
