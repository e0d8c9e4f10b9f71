"""How far a fit is: what it tells while it trains, for a bar with the time left, or for nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

EpochDone = Callable[[int, int], None]
"""Receives how many epochs of a stage are done, and how many it has."""


class FitProgress(Protocol):
    """Is told how far a fit is. A stage is one network on one part of the clips, such as a seed's teacher."""

    def begin(self, epochs: int) -> None:
        """The fit begins: so many epochs are to come, of all seeds and stages together."""

    def stage(self, seed: int, name: str) -> None:
        """A stage begins, or goes on where it was broken off."""

    def epoch(self, done: int, epochs: int) -> None:
        """So many of the epochs of the current stage are done."""
