"""Calibration: a temperature by which logits are divided, so that a probability of 0.8 is right eight times in ten.

The temperature depends on the time since the track began (Guo et al., On Calibration of Modern Neural Networks, 2017,
have one temperature for all times).
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
    """The temperature over time that makes the true labels likeliest, for the data set that needs the highest one.

    Each data set is fitted alone, and the highest of the temperatures is taken: many easy clips of one set must not
    make the answers on another too sure. Synthetic clips are easier than any real one and count only where there are
    no others.

    Args:
        logits: (N, R, K) at R stages of each clip (the ten observation ratios).
        targets: (N,) true labels.
        elapsed_s: (N, R) seconds since the clip's start. Every clip and every stage counts the same.
        sources: each clip's data set.

    Raises:
        ValueError: there are no clips.
    """
    if not len(targets):
        raise ValueError("there are no clips to calibrate on")
    which = np.array(sources)
    real = sorted(set(sources) - {SYNTHETIC}) or [SYNTHETIC]
    fitted = [_fit(logits[which == s], targets[which == s], elapsed_s[which == s]) for s in real]
    return max(fitted, key=lambda timed: float(np.log(temperatures(timed, elapsed_s)).mean()))


def _fit(logits: Floats, targets: Ints, elapsed_s: Floats) -> TimedTemperature:
    """Of one data set. Normal priors (`PRIOR`) around no calibration keep few clips from deciding too much."""

    def cost(x: NDArray[np.float64]) -> float:
        likelihood = float(surprises(logits, targets, temperatures(_timed(x), elapsed_s)).mean())
        return likelihood + float(np.square(x / PRIOR).sum()) / 2 / len(targets)

    best = minimize(cost, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-3, "fatol": 1e-7, "maxiter": 1000})
    timed = _timed(best.x)
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
