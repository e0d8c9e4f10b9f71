"""How often answers of a confidence are right (the reliability diagram of Guo et al., 2017)."""

from __future__ import annotations

import numpy as np

from inkling.training.evaluate.set_report import ReliabilityBin
from inkling.training.scores import Floats, Ints, log_probabilities

BINS = 10


def reliability(logits: Floats, targets: Ints, temperature: float | Floats = 1.0) -> tuple[ReliabilityBin, ...]:
    """Bins of confidence that have answers. logits (N, R, K), targets (N,), temperature: of all or (N, R)."""
    probabilities = np.exp(log_probabilities(logits, temperature))
    confidence = probabilities.max(-1).ravel()
    right = (probabilities.argmax(-1) == targets[:, None]).ravel()
    bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return tuple(
        ReliabilityBin(
            confidence=round(float(confidence[bin_of == i].mean()), 5),
            accuracy=round(float(right[bin_of == i].mean()), 5),
            count=int((bin_of == i).sum()),
        )
        for i in range(BINS)
        if (bin_of == i).any()
    )
