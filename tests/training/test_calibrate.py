from __future__ import annotations

import numpy as np
import pytest

from training.calibrate import COLDEST, fit_temperature
from training.metrics import calibration_error


def test_the_temperature_that_spoiled_probabilities_is_found() -> None:
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 2, (3000, 10, 4))
    honest = np.repeat(honest[:, :1], 10, 1)
    shares = np.exp(honest[:, 0]) / np.exp(honest[:, 0]).sum(-1, keepdims=True)
    targets = (shares.cumsum(-1) < rng.random((3000, 1))).sum(-1)
    found = fit_temperature(3 * honest, targets)
    assert found == pytest.approx(3, rel=0.1)
    assert calibration_error(3 * honest, targets, found) < calibration_error(3 * honest, targets) / 4


def test_answers_that_are_all_right_do_not_freeze_it() -> None:
    found = fit_temperature(np.tile(np.array([1.0, 0.0]), (5, 10, 1)), np.zeros(5, np.int64))
    assert found == pytest.approx(COLDEST, rel=0.01)
    assert found >= COLDEST


def test_no_clips_cannot_calibrate() -> None:
    with pytest.raises(ValueError, match="no clips"):
        fit_temperature(np.zeros((0, 10, 2)), np.zeros(0, np.int64))
