"""From logits to probabilities that mean what they say, the same in training and in the service. Pure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import Temperature, TimedTemperature

Floats = NDArray[np.floating[Any]]


def temperatures(calibration: Temperature | TimedTemperature, elapsed_s: Floats) -> NDArray[np.float64]:
    """The temperature after each of these seconds since the track's state was initial, in their shape."""
    elapsed_s = np.asarray(elapsed_s, np.float64)
    if isinstance(calibration, Temperature):
        return np.full(elapsed_s.shape, calibration.temperature)
    change = math.log(calibration.first / calibration.later)
    return np.asarray(calibration.later * np.exp(change * np.exp(elapsed_s / -calibration.settle_s)), np.float64)


def probabilities(
    logits: Floats, calibration: Temperature | TimedTemperature, elapsed_s: Floats | None = None
) -> NDArray[np.float64]:
    """Logits (..., K) -> probabilities (..., K): softmax(logits / temperature), which sum to 1.

    elapsed_s: (...) seconds since each track's state was initial; needed only where the temperature depends on them.
    """
    scaled = np.array(logits, np.float64)
    if isinstance(calibration, Temperature):
        scaled /= calibration.temperature
    elif elapsed_s is None:
        raise ValueError("this calibration depends on the time since the track's start")
    else:
        scaled /= temperatures(calibration, elapsed_s)[..., np.newaxis]
    scaled -= scaled.max(axis=-1, keepdims=True)
    np.exp(scaled, out=scaled)
    scaled /= scaled.sum(axis=-1, keepdims=True)
    return scaled
