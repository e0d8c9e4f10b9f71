"""One temperature that makes probabilities mean what they say (Guo et al., 2017), fitted on validation clips."""

from __future__ import annotations

import math

from scipy.optimize import minimize_scalar

from training.metrics import Floats, Ints, surprise

COLDEST, HOTTEST = 0.05, 20.0


def fit_temperature(logits: Floats, targets: Ints) -> float:
    """The temperature that makes the targets (N,) likeliest under softmax(logits / temperature).

    logits: (N, 10, K) at the ten observation ratios, so that every clip and every stage of it counts the same.
    Stays within [COLDEST, HOTTEST] also where all answers are right and colder would always be better.
    """
    if not len(targets):
        raise ValueError("there are no clips to calibrate on")
    found = minimize_scalar(
        lambda log_temperature: surprise(logits, targets, math.exp(log_temperature)),
        bounds=(math.log(COLDEST), math.log(HOTTEST)),
        method="bounded",
        options={"xatol": 1e-4},
    )
    return round(math.exp(float(found.x)), 4)
