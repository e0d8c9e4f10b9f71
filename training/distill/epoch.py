"""The figures of an epoch, and what receives them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Epoch:
    """The figures of one epoch.

    done, total: how many epochs are over, of how many. losses: the mean of each part of the loss, already weighted.
    accuracies: of the averaged weights on the validation clips, at the ten observation ratios; empty without clips.
    auc: their mean, NaN without clips.
    """

    done: int
    total: int
    losses: Mapping[str, float]
    accuracies: tuple[float, ...] = ()
    auc: float = math.nan

    @property
    def loss(self) -> float:
        return sum(self.losses.values())

    def __str__(self) -> str:
        validated = f"  validation AUC {100 * self.auc:.1f}" if self.accuracies else ""
        return f"epoch {self.done}/{self.total}  loss {self.loss:.3f}{validated}"


class FitProgress(Protocol):
    """Shows how far a fit is, as a progress bar does."""

    def epoch(self, stage: str, done: int, total: int, loss: float, auc: float) -> None:
        """`done` of `total` epochs of a stage are over. auc: of validation clips, NaN without any."""


EpochSeen = Callable[[Epoch], None]
