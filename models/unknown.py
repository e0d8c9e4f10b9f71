"""How likely it is that what somebody does is none of a bundle's labels, the same in training and in the service. Pure.

At a step: 1 - the largest probability of any label, those left out that mean 'none of the others'. The score is the
mean of that over the past, in which a step weighs less the longer ago it was: by 1/e after `average_s`. The weights of
a track that is young add up to 1 too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import Unknown

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


class UnknownScore:
    """The score of one bundle's tracks; it keeps nothing of them."""

    __slots__ = ("_known", "_passing", "_threshold", "_urgent")

    def __init__(self, unknown: Unknown, labels: Sequence[str], rate_hz: float) -> None:
        """labels: in the order of the probabilities. rate_hz: steps a second."""
        self._threshold = unknown.threshold
        self._urgent = frozenset(labels.index(label) for label in unknown.urgent)
        self._known = np.array([i for i, label in enumerate(labels) if label not in unknown.labels])
        self._passing = math.exp(-1.0 / (unknown.average_s * rate_hz))  # what a step's weight becomes at the next one

    def advance(self, before: Floats, steps: Ints, probabilities: Floats) -> NDArray[np.float64]:
        """The scores (B,) of tracks after one more step, from those before it.

        steps: (B,) those that each track has behind it; where that is 0, `before` does not count.
        probabilities: (B, K) of the step.
        """
        now = 1.0 - probabilities[:, self._known].max(axis=1)
        weight = (1.0 - self._passing) / (1.0 - self._passing ** (steps + 1))
        return np.asarray(before + weight * (now - before), np.float64)

    def over(self, probabilities: Floats) -> NDArray[np.float64]:
        """The score (T,) after each step of a track that begins with these, from the probabilities (T, K) of all."""
        score, scores = np.zeros(1), np.empty(len(probabilities))
        for step, row in enumerate(probabilities):
            score = self.advance(score, np.array([step]), row[np.newaxis])
            scores[step] = score[0]
        return scores

    def holds_back(self, score: float, best: int) -> bool:
        """Whether no event begins and nothing is decided at a result, `best` being its most probable label."""
        return score > self._threshold and best not in self._urgent
