"""Who is told of an epoch."""

from __future__ import annotations

from typing import Protocol


class FitProgress(Protocol):
    """Shows how far a fit is, as a progress bar does."""

    def epoch(self, stage: str, done: int, total: int, loss: float, auc: float) -> None:
        """`done` of `total` epochs of a stage are over. auc: of validation clips, NaN without any."""
