"""Who is told how far a run is: a bar with the time left, or nobody."""

from __future__ import annotations

from typing import Protocol

from inkling.training.distill.epoch import FitProgress


class RunProgress(FitProgress, Protocol):
    """Shows how far all seeds and stages of a run are. A stage is one network on one part of the clips."""

    def begin(self, epochs: int) -> None:
        """So many epochs are to come, of all seeds and stages together."""
