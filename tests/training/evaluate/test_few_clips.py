from __future__ import annotations

import pytest
from scipy.stats import binomtest

from inkling.training.evaluate.few_clips import few_clips_warning, wilson_interval


@pytest.mark.parametrize(("right", "clips"), [(0, 5), (3, 4), (12, 12), (40, 100)])
def test_the_interval_is_wilsons(right: int, clips: int) -> None:
    expected = binomtest(right, clips).proportion_ci(0.95, "wilson")
    assert wilson_interval(right / clips, clips) == pytest.approx((expected.low, expected.high), abs=1e-4)


def test_no_clips_say_nothing() -> None:
    assert wilson_interval(0.0, 0) == (0.0, 1.0)


def test_few_clips_are_warned_of_with_what_to_do() -> None:
    text = few_clips_warning(0.75, 12)
    assert text.startswith("Only 12 validation clips: an AUC of 75 on them means somewhere between 47 and 91")
    assert "--set validation.folds=5" in text
    assert "--set" not in few_clips_warning(0.75, 12, folds=3)
    assert few_clips_warning(0.75, 29) != ""
    assert few_clips_warning(0.75, 30) == ""
