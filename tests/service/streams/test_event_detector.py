from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.bundle.schema import DecisionRule
from inkling.service.streams.event_detector import DetectedEvent, EventDetector

RULE = DecisionRule(on=0.6, off=0.4, min_steps=2)


def run(decision: EventDetector, *rows: tuple[float, ...]) -> list[tuple[int, str, int]]:
    """(result, phase, label) of everything that changed."""
    found: list[tuple[int, str, int]] = []
    for i, row in enumerate(rows):
        found += [(i, change.phase, change.label) for change in decision.push(row, int(np.argmax(row)))]
    return found


def test_an_action_begins_after_enough_results_in_a_row_and_ends_below_off() -> None:
    rows = [(0.7, 0.3), (0.7, 0.3), (0.5, 0.5), (0.41, 0.59), (0.39, 0.61), (0.39, 0.61)]
    assert run(EventDetector(RULE, None), *rows) == [(1, "begin", 0), (4, "end", 0), (5, "begin", 1)]


def test_a_flicker_begins_nothing() -> None:
    assert run(EventDetector(RULE, None), (0.7, 0.3), (0.5, 0.5), (0.7, 0.3), (0.3, 0.7), (0.7, 0.3)) == []


def test_the_background_never_begins_but_ends_what_was_under_way() -> None:
    rows = [(0.9, 0.1), (0.9, 0.1), (0.9, 0.1), (0.1, 0.9), (0.1, 0.9), (0.8, 0.2)]
    assert run(EventDetector(RULE, 0), *rows) == [(4, "begin", 1), (5, "end", 1)]


def test_where_thresholds_are_low_another_action_ends_the_first() -> None:
    rule = DecisionRule(on=0.4, off=0.1, min_steps=1)
    assert run(EventDetector(rule, None), (0.5, 0.3, 0.2), (0.3, 0.5, 0.2)) == [
        (0, "begin", 0),
        (1, "end", 0),
        (1, "begin", 1),
    ]


def test_end_tells_the_last_probability_and_forgets_the_run() -> None:
    decision = EventDetector(RULE, None)
    assert decision.end() == ()
    assert run(decision, (0.7, 0.3), (0.8, 0.2), (0.65, 0.35)) == [(1, "begin", 0)]
    assert decision.end() == (DetectedEvent("end", 0, 0.65),)
    assert decision.active is None
    assert run(decision, (0.7, 0.3)) == []
    assert decision.end() == ()
    assert run(decision, (0.7, 0.3)) == []


def test_nothing_begins_while_it_is_held_back_but_what_is_under_way_goes_on() -> None:
    decision = EventDetector(RULE, None)
    assert [decision.push((0.9, 0.1), 0, held_back=True) for _ in range(5)] == [()] * 5
    assert decision.push((0.9, 0.1), 0) == ()
    assert decision.push((0.9, 0.1), 0) == (DetectedEvent("begin", 0, 0.9),)
    assert decision.push((0.8, 0.2), 0, held_back=True) == ()
    assert decision.active == 0
    assert decision.push((0.3, 0.7), 1, held_back=True) == (DetectedEvent("end", 0, 0.3),)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), max_size=60), st.integers(1, 4), st.sampled_from([None, 0]))
def test_begins_and_ends_alternate_and_obey_the_thresholds(
    rows: list[tuple[float, float, float]], min_steps: int, background: int | None
) -> None:
    decision = EventDetector(DecisionRule(on=0.6, off=0.4, min_steps=min_steps), background)
    active: int | None = None
    for row in rows:
        for change in decision.push(row, int(np.argmax(row))):
            if change.phase == "begin":
                assert active is None
                assert change.label != background
                assert change.probability >= 0.6
                active = change.label
            else:
                assert change.label == active
                active = None
        assert decision.active == active
        assert active is None or row[active] >= 0.4
