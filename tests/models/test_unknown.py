from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inkling.models.bundle.schema import Unknown
from inkling.models.unknown import UnknownScore

LABELS = ("fall", "idle", "other", "wave")


def score(rate_hz: float = 10.0, **changes: object) -> UnknownScore:
    fields = {"labels": ("other",), "average_s": 1.0, "threshold": 0.5, "lost": 0.0, "events": 1} | changes
    return UnknownScore(Unknown.model_validate(fields), LABELS, rate_hz)


rows = arrays.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(4)), elements=st.floats(0.01, 1.0)).map(
    lambda values: values / values.sum(axis=1, keepdims=True)
)


@given(rows)
def test_the_score_is_a_mean_of_the_past_in_which_old_steps_weigh_less(shares: np.ndarray) -> None:
    missing = 1 - shares[:, [0, 1, 3]].max(axis=1)
    scores = score().over(shares)
    for step in range(len(shares)):
        weights = np.exp(-np.arange(step, -1, -1) / 10)
        assert scores[step] == pytest.approx(np.average(missing[: step + 1], weights=weights))
    assert missing.min() - 1e-9 <= scores.min() <= scores.max() <= missing.max() + 1e-9


@given(rows, st.integers(1, 40))
def test_what_comes_later_changes_nothing(shares: np.ndarray, seen: int) -> None:
    assert (score().over(shares)[:seen] == score().over(shares[:seen])).all()


@given(st.lists(rows, min_size=1, max_size=4))
def test_tracks_that_are_stepped_together_do_not_touch_each_other(tracks: list[np.ndarray]) -> None:
    one = score()
    values, steps = np.zeros(len(tracks)), np.zeros(len(tracks), np.int64)
    for step in range(max(map(len, tracks))):
        here = np.array([k for k, track in enumerate(tracks) if step < len(track)])
        values[here] = one.advance(values[here], steps[here], np.stack([tracks[k][step] for k in here]))
        steps[here] += 1
    assert values == pytest.approx(np.array([one.over(track)[-1] for track in tracks]))


def test_a_track_s_first_step_forgets_whoever_was_there_before() -> None:
    shares = np.array([[0.1, 0.2, 0.0, 0.7]])
    assert score().advance(np.array([0.9]), np.array([0]), shares) == pytest.approx(0.3)


@pytest.mark.parametrize("rate_hz", [5.0, 15.0, 60.0])
def test_it_is_seconds_that_count_not_steps(rate_hz: float) -> None:
    """Two seconds of what is known, then six tenths of one of what is not."""
    known, unknown = np.eye(4)[3], np.full(4, 0.25)
    shares = np.array([known] * round(2 * rate_hz) + [unknown] * round(0.6 * rate_hz))
    expected = 0.75 * (1 - math.exp(-0.6)) / (1 - math.exp(-2.6))
    assert score(rate_hz).over(shares)[-1] == pytest.approx(expected, abs=1e-9)


def test_what_goes_to_a_label_of_others_is_not_known() -> None:
    other = np.array([[0.05, 0.0, 0.95, 0.0]])
    assert score().over(other) == pytest.approx(0.95)
    assert score(labels=()).over(other) == pytest.approx(0.05)


def test_above_the_threshold_all_is_held_back_but_what_is_urgent() -> None:
    found = score(urgent=("fall",))
    assert not found.holds_back(0.5, 3)
    assert found.holds_back(0.501, 3)
    assert found.holds_back(0.501, 2)
    assert not found.holds_back(1.0, 0)


def test_a_long_watched_track_still_has_a_score() -> None:
    after = score().advance(np.array([0.5]), np.array([10**9]), np.full((1, 4), 0.25))
    assert 0.5 < after[0] < 0.55
