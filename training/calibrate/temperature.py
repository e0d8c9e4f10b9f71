"""What makes probabilities mean what they say: a temperature that follows the time since a track's start.

Guo et al., On Calibration of Modern Neural Networks, 2017, with a temperature for each time instead of one for all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from inkling.models.bundle.schema import TimedTemperature
from inkling.models.calibration import temperatures
from inkling.training.data.synthetic_idle import SYNTHETIC
from inkling.training.scores import Floats, Ints, surprises

COLDEST, HOTTEST = 0.05, 20.0
SETTLE_S = (0.1, 30.0)
"""Fastest and slowest change of the temperature."""
PRIOR = np.array([0.5, 0.25, 0.5])
"""Standard deviations of the logs of: the later temperature, the first over the later one, `settle_s` in seconds."""


def fit_calibration(logits: Floats, targets: Ints, elapsed_s: Floats, sources: Sequence[str]) -> TimedTemperature:
    """The timed temperature under which the targets (N,) of the data set that it suits worst are likeliest.

    logits: (N, R, K) at R stages of each clip (the ten observation ratios), elapsed_s: (N, R) since each clip's start,
    so that every clip and every stage of it counts the same. sources: each clip's data set.

    Each data set is fitted alone, and the hottest of these temperatures is taken: many easy clips of one set must not
    make the answers on another surer than its own clips bear out. Made-up clips, which are easier than any real one,
    do not count unless there are no others.
    """
    if not len(targets):
        raise ValueError("there are no clips to calibrate on")
    which = np.array(sources)
    real = sorted(set(sources) - {SYNTHETIC}) or [SYNTHETIC]
    found = [_fit(logits[which == s], targets[which == s], elapsed_s[which == s]) for s in real]
    return max(found, key=lambda timed: float(np.log(temperatures(timed, elapsed_s)).mean()))


def _fit(logits: Floats, targets: Ints, elapsed_s: Floats) -> TimedTemperature:
    """Of one data set. The parameters have normal priors (`PRIOR`) around no calibration at all, for few clips."""

    def cost(x: NDArray[np.float64]) -> float:
        likelihood = float(surprises(logits, targets, temperatures(_timed(x), elapsed_s)).mean())
        return likelihood + float(np.square(x / PRIOR).sum()) / 2 / len(targets)

    found = minimize(cost, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-7, "maxiter": 1000})
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
