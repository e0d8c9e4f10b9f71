from __future__ import annotations

import numpy as np
import pytest

from inkling.models.bundle.schema import TimedTemperature
from inkling.models.calibration import temperatures
from inkling.training.calibrate.temperature import COLDEST, fit_calibration
from inkling.training.data.synthetic_idle import SYNTHETIC
from inkling.training.scores import Floats, Ints, calibration_error

ELAPSED_S = np.linspace(0, 4, 10)


def honest(clips: int, seed: int = 0) -> tuple[Floats, Ints]:
    """Logits (N, 10, 4) whose softmax is how often each label is true."""
    rng = np.random.default_rng(seed)
    logits = np.repeat(rng.normal(0, 2, (clips, 1, 4)), 10, 1)
    shares = np.exp(logits[:, 0]) / np.exp(logits[:, 0]).sum(-1, keepdims=True)
    return logits, (shares.cumsum(-1) < rng.random((clips, 1))).sum(-1)


def fitted(logits: Floats, targets: Ints, sources: list[str] | None = None) -> TimedTemperature:
    return fit_calibration(logits, targets, np.tile(ELAPSED_S, (len(targets), 1)), sources or ["s"] * len(targets))


def test_the_temperature_that_spoiled_probabilities_is_found() -> None:
    logits, targets = honest(3000)
    found = fitted(3 * logits, targets)
    heat = np.tile(temperatures(found, ELAPSED_S), (len(targets), 1))
    assert [found.first, found.later] == pytest.approx([3, 3], rel=0.1)
    assert calibration_error(3 * logits, targets, heat) < calibration_error(3 * logits, targets) / 4


def test_a_temperature_that_changes_while_a_clip_is_watched_is_found() -> None:
    logits, targets = honest(3000)
    truth = temperatures(TimedTemperature(first=3, later=0.7, settle_s=1.0), ELAPSED_S)
    found = fitted(logits * truth[:, None], targets)
    assert temperatures(found, ELAPSED_S) == pytest.approx(truth, rel=0.15)


def test_a_large_set_does_not_make_answers_on_a_small_one_surer() -> None:
    (one, of_one), (two, of_two) = honest(2000), honest(500, seed=1)
    logits, targets = np.concatenate([one, 4 * two]), np.concatenate([of_one, of_two])
    found = fitted(logits, targets, ["one"] * 2000 + ["two"] * 500)
    assert found.later == pytest.approx(fitted(4 * two, of_two).later)
    assert found.later > 1.2 * fitted(logits, targets).later


def test_made_up_clips_count_only_where_there_are_no_others() -> None:
    (real, of_real), (made, of_made) = honest(500), honest(500, seed=1)
    logits, targets = np.concatenate([real, 9 * made]), np.concatenate([of_real, of_made])
    assert fitted(logits, targets, ["s"] * 500 + [SYNTHETIC] * 500).later == pytest.approx(1, rel=0.2)
    assert fitted(9 * made, of_made, [SYNTHETIC] * 500).later == pytest.approx(9, rel=0.2)


def test_answers_that_are_all_right_do_not_freeze_it() -> None:
    found = fitted(np.tile(np.array([1.0, 0.0]), (5, 10, 1)), np.zeros(5, np.int64))
    assert COLDEST <= found.later < 1


def test_no_clips_cannot_calibrate() -> None:
    with pytest.raises(ValueError, match="no clips"):
        fitted(np.zeros((0, 10, 2)), np.zeros(0, np.int64))
