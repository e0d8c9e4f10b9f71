"""How long each track of a bundle has been watched, for a calibration that depends on it. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Ages:
    """Steps that each row of the state pool has taken since its tenant's state was initial.

    Belongs to the engine's thread. A row counts anew when its tenant (generation) or its tenant's epoch is another one.
    """

    __slots__ = ("_epochs", "_generations", "_steps")

    def __init__(self, slots: int) -> None:
        self._generations = np.full(slots, -1, np.int64)
        self._epochs = np.zeros(slots, np.int64)
        self._steps = np.zeros(slots, np.int64)

    def of(self, rows: Indices, generations: Indices, epochs: Indices) -> Indices:
        """(B,) steps that each of B different rows has behind it."""
        same = (self._generations[rows] == generations) & (self._epochs[rows] == epochs)
        return np.where(same, self._steps[rows], 0)

    def stepped(
        self,
        rows: Indices,
        generations: Indices,
        epochs: Indices,
        ages: Indices,
        which: NDArray[np.bool_] | None = None,
    ) -> None:
        """These rows, of `ages` as `of` gave them, took one more step; which: (B,), None: all did."""
        if which is not None:
            rows, generations, epochs, ages = rows[which], generations[which], epochs[which], ages[which]
        self._generations[rows] = generations
        self._epochs[rows] = epochs
        self._steps[rows] = ages + 1
