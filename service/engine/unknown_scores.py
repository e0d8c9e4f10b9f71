"""The score of the unknown of each track of a bundle. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import BundleSpec, Unknown
from inkling.models.unknown import UnknownScore
from inkling.service.engine.state_pool import Indices
from inkling.service.protocol.prediction_format import UNKNOWN_DECIMALS


class UnknownScores:
    """The latest score of each row of the state pool. Belongs to the engine's thread.

    It knows nothing of tenants: where a track has no step behind it, what its row held does not count.
    """

    __slots__ = ("_score", "_scores")

    def __init__(self, unknown: Unknown, spec: BundleSpec, slots: int) -> None:
        self._score = UnknownScore(unknown, spec.labels, spec.rate_hz)
        self._scores = np.zeros(slots)

    def step(
        self,
        rows: Indices,
        ages: Indices,
        probabilities: NDArray[np.float64],
        which: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.float64]:
        """The scores (B,) of B different rows after a step with these probabilities (B, K), as clients are told them.

        ages: (B,) steps that each has behind it. which: (B,) take it, None: all; the others keep what they had.
        """
        after = self._score.advance(self._scores[rows], ages, probabilities)
        if which is None:
            self._scores[rows] = after
        else:
            self._scores[rows[which]] = after[which]
        return after.round(UNKNOWN_DECIMALS)
