from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.bundle.schema import Temperature, TimedTemperature
from inkling.models.calibration import probabilities, temperatures

TIMED = TimedTemperature(first=2.0, later=0.5, settle_s=1.0)


def test_calibration_is_softmax_of_logits_over_temperature() -> None:
    logits = np.array([[0.0, np.log(3.0)], [1000.0, -1000.0]], np.float32)
    assert probabilities(logits, Temperature())[0] == pytest.approx([0.25, 0.75], abs=1e-6)
    assert probabilities(logits, Temperature(temperature=2.0))[0] == pytest.approx([0.366025, 0.633975], abs=1e-6)
    assert probabilities(logits, Temperature())[1] == pytest.approx([1, 0])
    assert logits[1].tolist() == [1000, -1000]


def test_a_timed_temperature_goes_from_the_first_to_the_later_one() -> None:
    found = temperatures(TIMED, np.array([0.0, 1.0, 50.0]))
    assert found == pytest.approx([2.0, 0.5 * 4 ** np.exp(-1), 0.5])


def test_rows_are_calibrated_each_for_its_own_time() -> None:
    logits = np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)
    found = probabilities(logits, TIMED, np.array([0.0, 50.0]))
    assert found[0] == pytest.approx(probabilities(logits, Temperature(temperature=2.0))[0])
    assert found[1] == pytest.approx(probabilities(logits, Temperature(temperature=0.5))[1])


def test_a_timed_temperature_needs_the_time() -> None:
    with pytest.raises(ValueError, match="time since"):
        probabilities(np.zeros((1, 2), np.float32), TIMED)


@given(st.floats(0.05, 20), st.floats(0.05, 20), st.floats(0.1, 100), st.floats(0, 1e9))
def test_a_timed_temperature_stays_between_its_ends(first: float, later: float, settle_s: float, at_s: float) -> None:
    found = float(temperatures(TimedTemperature(first=first, later=later, settle_s=settle_s), np.array(at_s)))
    assert min(first, later) * (1 - 1e-9) <= found <= max(first, later) * (1 + 1e-9)
