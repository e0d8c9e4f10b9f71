from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.bundle.schema import DecisionRule
from inkling.training.evaluate.foresight import (
    Foreseen,
    Shares,
    foresight,
    foresight_tables,
    foretold,
    last_labels,
)
from inkling.training.evaluate.set_report import ForesightScores
from inkling.training.labels import UNLABELLED, anything_but
from inkling.training.scores import Ints

LABELS = ("fall", "idle", "walk")
FALL, IDLE, WALK = range(3)
RULE = DecisionRule(on=0.6, off=0.4, min_steps=2)
RATE_HZ = 10.0


def steps(*runs: tuple[int, int]) -> Ints:
    """(T,) labels, each for so many steps."""
    return np.concatenate([np.full(count, label, np.int64) for label, count in runs])


def sure(labels: Ints, of: float = 0.9) -> Shares:
    """(T, 3) probabilities of somebody who says these labels; of none at all where there is none."""
    shares = np.full((len(labels), 3), 1 / 3)
    for i, label in enumerate(labels.tolist()):
        if label >= 0:
            shares[i] = (1 - of) / 2
            shares[i, label] = of
    return shares


def ahead_of(labels: Ints, ahead: int) -> Ints:
    """What somebody says who knows what comes `ahead` steps later."""
    return np.concatenate([labels[ahead:], np.full(ahead, labels[-1])])


PRESENT = steps((WALK, 20), (FALL, 10), (IDLE, 20))


def measured(present: Ints, model: Ints, recogniser: Ints | None = None, ahead: int = 5) -> ForesightScores:
    other = None if recogniser is None else sure(recogniser)
    recording = Foreseen(present, sure(model), other)
    return foresight([recording], LABELS, ahead, RATE_HZ, RULE, commonest=WALK, background=IDLE)


def test_who_knows_what_comes_is_right_where_who_knows_what_is_is_not() -> None:
    scores = measured(PRESENT, ahead_of(PRESENT, 5), PRESENT)
    own = next(lead for lead in scores.leads if lead.lead_s == 0.5)
    assert (own.steps, own.changes) == (45, 10)
    assert own.right == {"model": 1.0, "recogniser": pytest.approx(35 / 45, abs=1e-4), "last": own.right["recogniser"],
                         "chance": pytest.approx(15 / 45, abs=1e-4)}  # fmt: skip
    assert own.right_at_changes == {"model": 1.0, "recogniser": 0.0, "last": 0.0, "chance": 0.0}
    assert [lead.lead_s for lead in scores.leads] == [0.0, 0.3, 0.5, 1.0]
    now = scores.leads[0]
    assert (now.right["recogniser"], now.right["last"], now.changes) == (1.0, 1.0, 0)


def test_a_label_is_expected_so_long_before_it_begins_and_its_event_is_early() -> None:
    scores = measured(PRESENT, ahead_of(PRESENT, 5), PRESENT)
    assert set(scores.onsets) == {"fall"}, "the first label was there already, the last is the background"
    model, recogniser = scores.onsets["fall"]["model"], scores.onsets["fall"]["recogniser"]
    assert (model.onsets, model.met, model.before, model.early_s) == (1, 1, 1, 0.4)
    assert (recogniser.met, recogniser.before, recogniser.early_s) == (1, 0, -0.1)


def test_an_event_long_before_or_of_what_never_comes_is_false() -> None:
    model = PRESENT.copy()
    model[5:8] = FALL
    found = measured(PRESENT, model).onsets["fall"]["model"]
    assert (found.false, found.met, found.before) == (1, 1, 0)
    assert found.quiet_minutes == pytest.approx((15 + 20) / 600, abs=1e-3)


def test_what_is_known_to_be_no_fall_is_quiet_and_what_nobody_labelled_is_not() -> None:
    present = steps((anything_but(FALL), 20), (UNLABELLED, 10), (FALL, 10))
    model = steps((FALL, 3), (WALK, 19), (FALL, 3), (WALK, 15))
    found = measured(present, model).onsets["fall"]["model"]
    assert found.false == 1
    assert found.quiet_minutes == pytest.approx(15 / 600, abs=1e-3)


def test_a_step_whose_future_has_no_label_counts_for_nobody() -> None:
    present = steps((WALK, 10), (UNLABELLED, 30), (FALL, 10))
    own = next(lead for lead in measured(present, present).leads if lead.lead_s == 0.5)
    assert (own.steps, own.changes) == (5 + 10, 5)
    assert "recogniser" not in own.right


def test_a_recording_shorter_than_a_lead_says_nothing_of_it() -> None:
    scores = measured(steps((WALK, 4), (FALL, 4)), steps((WALK, 8)), ahead=2)
    far = scores.leads[-1]
    assert (far.lead_s, far.steps, far.right["model"]) == (1.0, 0, None)


@given(st.lists(st.sampled_from([UNLABELLED, anything_but(1), 0, 1]), min_size=1, max_size=30))
def test_the_last_label_is_the_latest_known_one(labels: list[int]) -> None:
    found = last_labels(np.array(labels)).tolist()
    assert found[0] == max(labels[0], UNLABELLED)
    for (before, now), label in zip(pairwise(found), labels[1:], strict=True):
        assert now == (label if label >= 0 else before)


def test_tables_name_who_answers_and_mark_the_models_own_lead() -> None:
    (said, (head, rows)), (_, (_, onsets)) = foresight_tables(
        {"films": measured(PRESENT, ahead_of(PRESENT, 5), PRESENT)}, 0.5
    )
    assert "recogniser" in said
    assert len(head) == len(rows[0])
    assert [row[1] for row in rows] == ["0 s", "0.3 s", "0.5 s (its own)", "1 s"]
    assert onsets[0] == ("films", "fall", "this model", "1 of 1", "1", "+0.40 s", "0 in 0.1 min")
    assert foresight_tables({}, 0.5) == []
    assert foretold(0.5).startswith("Every answer is of 0.5 s after its step")
