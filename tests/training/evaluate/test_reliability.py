from __future__ import annotations

import numpy as np
import pytest

from inkling.training.evaluate.reliability import reliability


def test_answers_are_counted_by_their_confidence() -> None:
    logits = np.log(np.array([[[0.95, 0.05]], [[0.95, 0.05]], [[0.65, 0.35]]]))
    sure, unsure = sorted(reliability(logits, np.array([0, 1, 0])), key=lambda bin_: -bin_.confidence)
    assert (sure.count, sure.accuracy) == (2, 0.5)
    assert (unsure.count, unsure.accuracy) == (1, 1.0)
    assert [sure.confidence, unsure.confidence] == pytest.approx([0.95, 0.65])


def test_a_temperature_moves_answers_between_bins() -> None:
    logits = np.array([[[2.0, 0.0]]])
    (cold,), (hot,) = reliability(logits, np.array([0])), reliability(logits, np.array([0]), 4.0)
    assert cold.confidence > 0.85
    assert hot.confidence < 0.65
