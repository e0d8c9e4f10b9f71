from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inkling.training.data.corpus import Example
from inkling.training.scores import (
    accuracy,
    at_ratios,
    auc,
    calibration_error,
    confusion,
    observed_steps,
    ratio_logits,
    surprise,
)


@given(length=st.integers(1, 2000))
def test_a_ratio_is_reached_at_the_ceiling_of_its_share(length: int) -> None:
    expected = [math.ceil(Fraction(length * tenth, 10)) - 1 for tenth in range(1, 11)]
    assert observed_steps(torch.tensor([length])).tolist() == [expected]


def test_the_step_after_the_ceiling_is_not_looked_at() -> None:
    logits = torch.arange(20.0).reshape(1, 20, 1)
    assert at_ratios(logits, torch.tensor([20])).flatten().tolist() == [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]
    assert at_ratios(logits, torch.tensor([3])).flatten().tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]


def test_logits_come_in_the_order_of_the_examples() -> None:
    examples = [
        Example(torch.full((length, 1, 1), float(i)), i % 3, "s", "test", "") for i, length in enumerate((9, 2, 5))
    ]
    logits, targets = ratio_logits(lambda x: x[..., 0].repeat(1, 1, 3), examples)
    assert logits.shape == (3, 10, 3)
    assert (logits == np.arange(3)[:, None, None]).all()
    assert targets.tolist() == [0, 1, 2]


def test_no_clips_cannot_be_measured() -> None:
    with pytest.raises(ValueError, match="no clips"):
        ratio_logits(lambda x: x, [])


def answers(*rows: list[int], classes: int = 3) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(np.eye(classes)[np.array(rows)], np.float64)


def test_accuracy_is_counted_at_each_ratio() -> None:
    logits = answers([0] * 10, [1] * 5 + [0] * 5)
    found = accuracy(logits, np.array([0, 0]))
    assert found.tolist() == [0.5] * 5 + [1.0] * 5
    assert auc(found) == 0.75


def test_only_allowed_answers_are_given() -> None:
    logits = np.tile(np.array([3.0, 2.0, 1.0]), (1, 10, 1))
    assert accuracy(logits, np.array([1])).tolist() == [0.0] * 10
    assert accuracy(logits, np.array([1]), among=[1, 2]).tolist() == [1.0] * 10


def test_confusion_counts_the_whole_clip_with_true_labels_in_rows() -> None:
    logits = answers([0] * 9 + [2], [1] * 10, [0] * 9 + [2])
    assert confusion(logits, np.array([1, 1, 1])).tolist() == [[0, 0, 0], [0, 1, 2], [0, 0, 0]]


def test_surprise_of_even_odds_is_the_log_of_their_number() -> None:
    assert surprise(np.zeros((2, 10, 4)), np.array([0, 3])) == pytest.approx(math.log(4))


def test_heat_evens_the_odds() -> None:
    logits = np.tile(np.array([8.0, 0.0]), (1, 10, 1))
    assert surprise(logits, np.array([0]), 1e6) == pytest.approx(math.log(2), rel=1e-4)


def test_confidence_that_is_as_often_right_has_no_error() -> None:
    logits = np.tile(np.log([0.75, 0.25]), (4, 10, 1))
    assert calibration_error(logits, np.array([0, 0, 0, 1])) == pytest.approx(0, abs=1e-12)
    assert calibration_error(logits, np.array([0, 0, 1, 1])) == pytest.approx(0.25)
