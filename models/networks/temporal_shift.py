"""Temporal shift (Lin, Gan, Han: TSM, ICCV 2019) in its online, one-way form: one frame a step.

At every shift site the first eighth of the channels is replaced by the same channels one step earlier; before the
first step they are zero. The past is the only thing shifted in, so a step needs no future frame, and what it needs of
the past is a named state tensor.

A backbone calls `shift(site, x)` wherever it may be shifted and does not know whether it runs over a sequence
(`SequenceShift`), one step at a time (`StepShift`), or on single images (`no_shift`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor

SHARE = 8
"""One channel in so many comes from the step before."""


class Shift(Protocol):
    """x (N, C, H, W) at a named site -> the same shape, some channels from the step before."""

    def __call__(self, site: str, x: Tensor, /) -> Tensor: ...


def no_shift(site: str, x: Tensor) -> Tensor:
    """Single images: nothing came before."""
    return x


class SequenceShift:
    """Over whole sequences from their initial state; x is (B * T, C, H, W), the steps of a row next to each other."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def __call__(self, site: str, x: Tensor) -> Tensor:
        fold = x.shape[1] // SHARE
        moved = x[:, :fold].reshape(self.rows, -1, fold, *x.shape[2:])  # (B, T, C / 8, H, W)
        late = torch.cat([torch.zeros_like(moved[:, :1]), moved[:, :-1]], dim=1).flatten(0, 1)
        return torch.cat([late, x[:, fold:]], dim=1)


class StepShift:
    """One step; `before` has what each site shifts in, (B, C / 8, H, W), `after` collects what the next step needs."""

    def __init__(self, before: Mapping[str, Tensor]) -> None:
        self.before = before
        self.after: dict[str, Tensor] = {}

    def __call__(self, site: str, x: Tensor) -> Tensor:
        fold = x.shape[1] // SHARE
        self.after[site] = x[:, :fold]
        return torch.cat([self.before[site], x[:, fold:]], dim=1)


class SiteRecorder:
    """Finds a backbone's sites: `shapes` of what each shifts in, (C / 8, H, W), in the order of the network."""

    def __init__(self) -> None:
        self.shapes: dict[str, tuple[int, int, int]] = {}

    def __call__(self, site: str, x: Tensor) -> Tensor:
        if site in self.shapes:
            raise ValueError(f"two shift sites are called {site!r}")
        self.shapes[site] = (x.shape[1] // SHARE, x.shape[2], x.shape[3])
        return x
