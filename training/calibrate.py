"""What makes probabilities mean what they say: a temperature that follows the time since a track's start.

Guo et al., On Calibration of Modern Neural Networks, 2017, with a temperature for each time instead of one for all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from models.bundle.schema import TimedTemperature
from models.calibration import temperatures
from training.idle import SYNTHETIC
from training.metrics import Floats, Ints, surprises

COLDEST, HOTTEST = 0.05, 20.0
SETTLE_S = (0.1, 30.0)
"""Fastest and slowest change of the temperature."""


def fit_calibration(logits: Floats, targets: Ints, elapsed_s: Floats, sources: Sequence[str]) -> TimedTemperature:
    """The timed temperature under which the targets (N,) are likeliest.

    logits: (N, R, K) at R stages of each clip (the ten observation ratios), elapsed_s: (N, R) since each clip's start,
    so that every clip and every stage of it counts the same within its set. sources: each clip's data set. All sets
    weigh the same, however many clips they have: one of many easy clips would else make answers on the others too sure.
    Made-up clips, which are easier than any real one, do not count unless there are no others.

    log T has a weak prior around 0, the change of it one around none and the time one around a second, each with the
    weight of a single clip: they decide only what the clips leave open, as where all answers are right.
    """
    if not len(targets):
        raise ValueError("there are no clips to calibrate on")
    weights = _weights(sources)[:, None]
    clips = np.count_nonzero(weights)

    def cost(x: Floats) -> float:
        likelihood = float((weights * surprises(logits, targets, temperatures(_timed(x), elapsed_s))).mean(1).sum())
        return likelihood + float(np.square(x).sum()) / 2 / clips

    start = np.zeros(3)
    found = minimize(cost, start, method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-7, "maxiter": 1000})
    timed = _timed(found.x)
    return TimedTemperature(first=round(timed.first, 4), later=round(timed.later, 4), settle_s=round(timed.settle_s, 3))


def _timed(x: Floats) -> TimedTemperature:
    """x: log of the later temperature, of first over later, of seconds."""
    later, change, settle = (float(value) for value in x)

    def within(value: float, low: float, high: float) -> float:
        return math.exp(min(max(value, math.log(low)), math.log(high)))

    return TimedTemperature(
        first=within(later + change, COLDEST, HOTTEST),
        later=within(later, COLDEST, HOTTEST),
        settle_s=within(settle, *SETTLE_S),
    )


def _weights(sources: Sequence[str]) -> Floats:
    """(N,) of each clip; they sum to 1."""
    names, which, counts = np.unique(np.array(sources), return_inverse=True, return_counts=True)
    weights = 1 / counts[which]
    if len(names) > 1:
        weights[np.array(sources) == SYNTHETIC] = 0
    return np.asarray(weights / weights.sum(), np.float64)
