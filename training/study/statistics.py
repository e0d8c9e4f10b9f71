"""What several runs say together: mean, spread, and the interval of a paired difference."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy import stats

LEVEL = 0.95


class Estimate(BaseModel):
    """Mean of n values, their standard deviation (n - 1), and the 95 % interval of the mean (Student's t, n - 1).

    With one value there is neither deviation nor interval: None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n: int
    mean: float
    sd: float | None = None
    low: float | None = None
    high: float | None = None


def estimate(values: Sequence[float]) -> Estimate:
    """Raises ValueError without values."""
    if not values:
        raise ValueError("there are no values to estimate from")
    array = np.asarray(values, np.float64)
    n, mean = len(array), float(array.mean())
    if n == 1:
        return Estimate(n=1, mean=mean)
    sd = float(array.std(ddof=1))
    reach = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / math.sqrt(n)
    return Estimate(n=n, mean=mean, sd=sd, low=mean - reach, high=mean + reach)


def paired(values: dict[int, float], baseline: dict[int, float]) -> Estimate | None:
    """Estimate of value - baseline over the seeds that both have; None where they share none.

    A seed draws the labelled clips, the validation clips and the initial weights of both alike: their difference varies
    less than either. The test clips are the same for all seeds, so the interval says how sure the difference is on
    these clips, for other draws of labels and weights, and nothing about other test clips.
    """
    shared = sorted(values.keys() & baseline.keys())
    return estimate([values[seed] - baseline[seed] for seed in shared]) if shared else None
