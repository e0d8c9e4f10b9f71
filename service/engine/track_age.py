"""How long each track of a bundle has been watched, for a calibration that depends on it. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkling.service.engine.state_pool import Indices, tag


class TrackAges:
    """Steps that each row of the state pool has taken since its tenant's state was initial.

    Belongs to the engine's thread. A row counts anew when its tenant (generation) or its tenant's epoch is another one.
    """

    __slots__ = ("_steps", "_tags")

    def __init__(self, slots: int) -> None:
        self._tags = np.full(slots, -1, np.int64)  # as those of the state pool
        self._steps = np.zeros(slots, np.int64)

    def step(
        self, rows: Indices, generations: Indices, epochs: Indices, which: NDArray[np.bool_] | None = None
    ) -> Indices:
        """(B,) steps that each of B different rows has behind it, before one more; which: (B,) take it, None: all."""
        tags = tag(generations, epochs)
        ages: Indices = self._steps[rows] * (self._tags[rows] == tags)
        if which is None:
            self._tags[rows] = tags
            self._steps[rows] = ages + 1
        else:
            self._tags[rows[which]] = tags[which]
            self._steps[rows[which]] = ages[which] + 1
        return ages
