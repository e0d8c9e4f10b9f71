from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.bundle.schema import DecisionRule, Temperature
from inkling.training.data.corpus import Example
from inkling.training.evaluate.by_step import events, step_scores, steps_table, stretches
from inkling.training.evaluate.set_report import LabelSteps, StepScores
from inkling.training.labels import UNLABELLED, anything_but

LABELS = ("fall", "idle", "walk")
RULE = DecisionRule(on=0.6, off=0.4, min_steps=2)


def logits(*answers: int) -> np.ndarray:
    """(T, 3): each step is all but sure of one label."""
    return np.log(np.eye(3)[list(answers)] * 0.97 + 0.01)


def clip(*targets: int) -> Example:
    steps = torch.tensor(targets)
    return Example(torch.zeros(len(targets), 1, 3), int(steps[-1]), "s", "test", "", steps)


def scores(answers: list[np.ndarray], clips: list[Example]) -> StepScores:
    return step_scores(answers, clips, LABELS, Temperature(kind="temperature", temperature=1.0), 2.0, RULE, 1)


def test_an_event_begins_after_enough_steps_and_ends_below_the_lower_threshold() -> None:
    probability = np.array([0.7, 0.1, 0.7, 0.7, 0.5, 0.39, 0.9, 0.9, 0.9])
    assert events(probability, RULE) == [(3, 5), (7, 9)]


@given(st.lists(st.floats(0, 1), max_size=60))
def test_events_follow_each_other_and_their_steps_bear_them_out(shares: list[float]) -> None:
    found = events(np.array(shares), RULE)
    assert all(a < b <= c for (a, b), (c, _) in pairwise(found))
    for begin, end in found:
        assert all(share >= RULE.on for share in shares[begin - 1 : begin + 1])
        assert all(share >= RULE.off for share in shares[begin:end])
        assert end == len(shares) or shares[end] < RULE.off


@given(st.lists(st.booleans(), max_size=40))
def test_stretches_are_the_runs_of_what_is_true(where: list[bool]) -> None:
    covered = [False] * len(where)
    for start, stop in stretches(np.array(where, bool)):
        covered[start:stop] = [True] * (stop - start)
        assert start == 0 or not where[start - 1]
        assert stop == len(where) or not where[stop]
    assert covered == where


def test_spans_are_met_by_an_event_in_them_and_unlabelled_steps_count_for_nothing() -> None:
    targets = clip(2, 2, 2, UNLABELLED, UNLABELLED, 0, 0, 0, 0, UNLABELLED, 1, 1)
    found = scores([logits(2, 2, 2, 0, 2, 2, 0, 0, 0, 0, 1, 0)], [targets])
    assert (found.clips, found.steps) == (1, 9)
    assert found.accuracy == pytest.approx(7 / 9, abs=1e-4)
    assert set(found.labels) == {"fall", "walk"}, "the background has no events"
    fall, walk = found.labels["fall"], found.labels["walk"]
    assert (fall.spans, fall.met, fall.left_s, fall.accuracy) == (1, 1, 1.0, 0.75)
    assert (walk.spans, walk.met, walk.left_s) == (1, 1, 1.0)
    assert fall.quiet_minutes == pytest.approx(5 / 2 / 60, abs=1e-3)
    assert walk.false == 1, "it begins again in the fall"


def test_an_event_of_an_excluded_label_is_false_and_of_another_one_nothing_is_known() -> None:
    targets = clip(*[anything_but(0)] * 6)
    found = scores([logits(0, 0, 0, 2, 2, 2)], [targets])
    assert (found.steps, found.accuracy) == (0, None)
    assert found.labels == {"fall": LabelSteps(accuracy=None, spans=0, met=0, left_s=None, false=1, quiet_minutes=0.05)}


def test_a_clip_with_one_label_has_it_at_every_step() -> None:
    example = Example(torch.zeros(3, 1, 3), 2, "s", "test", "")
    assert scores([logits(2, 2, 1)], [example]).labels["walk"].accuracy == pytest.approx(2 / 3, abs=1e-4)


def test_the_table_has_a_row_for_each_label_and_there_is_none_without_labels() -> None:
    table = steps_table({"falls": scores([logits(0, 0, 0)], [clip(0, 0, 0)])})
    assert "| falls | fall | 100.0 | 1 of 1 | 1.00 s | 0 in 0.0 min |" in table
    assert steps_table({}) == ""
