from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inkling.models.early_decision import EarlyDecisionRule

BACKGROUND = 0


def run(rule: EarlyDecisionRule, *rows: tuple[int, float]) -> list[int]:
    """Indices of the results at which it decides."""
    return [i for i, row in enumerate(rows) if rule.push(*row)]


def test_nothing_is_decided_while_it_is_held_back_but_a_decision_may_come_to_its_end() -> None:
    rule = EarlyDecisionRule(0.6, 2, 0)
    assert [rule.push(1, 0.9, held_back=True) for _ in range(4)] == [False] * 4
    assert [rule.push(1, 0.9), rule.push(1, 0.9, held_back=True), rule.push(1, 0.9), rule.push(1, 0.9)] == [
        False,
        False,
        False,
        True,
    ]
    rule.push(0, 0.9, held_back=True)
    rule.push(0, 0.9, held_back=True)
    assert not rule.decided


def test_it_decides_after_enough_sure_results_in_a_row_and_only_once() -> None:
    assert run(EarlyDecisionRule(0.8, 2, None), (1, 0.9), (1, 0.8), (1, 0.99), (1, 0.99), (2, 0.99), (2, 0.99)) == [1]


def test_a_flicker_or_another_leader_begins_the_count_anew() -> None:
    rows = [(1, 0.9), (1, 0.7), (1, 0.9), (2, 0.9), (1, 0.9), (1, 0.9)]
    assert run(EarlyDecisionRule(0.8, 2, None), *rows) == [5]


def test_it_never_decides_for_the_background() -> None:
    assert run(EarlyDecisionRule(0.5, 1, BACKGROUND), *[(BACKGROUND, 0.99)] * 5) == []


def test_the_background_in_a_row_opens_it_again() -> None:
    rule = EarlyDecisionRule(0.8, 2, BACKGROUND)
    action, nothing, unsure = (1, 0.9), (BACKGROUND, 0.3), (1, 0.2)
    assert run(rule, action, action, nothing, unsure, action, action) == [1]
    assert run(rule, nothing, nothing, action, action) == [3]


def test_reopened_it_decides_again_but_counts_from_the_start() -> None:
    rule = EarlyDecisionRule(0.8, 2, None)
    assert run(rule, (1, 0.9), (1, 0.9), (1, 0.9)) == [1]
    rule.reopen()
    assert run(rule, (1, 0.9), (1, 0.9)) == [1]


@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1)), max_size=60),
    st.floats(0.05, 1),
    st.integers(1, 4),
    st.sampled_from([None, BACKGROUND]),
)
def test_between_two_decisions_the_background_led_and_each_was_sure(
    rows: list[tuple[int, float]], threshold: float, min_steps: int, background: int | None
) -> None:
    rule = EarlyDecisionRule(threshold, min_steps, background)
    last: int | None = None
    for i, row in enumerate(rows):
        if not rule.push(*row):
            continue
        window = rows[i - min_steps + 1 : i + 1]
        assert i + 1 >= min_steps
        assert {label for label, _ in window} == {row[0]}
        assert row[0] != background
        assert min(probability for _, probability in window) >= threshold
        if last is not None:
            between = [label for label, _ in rows[last + 1 : i]]
            runs = range(len(between) - min_steps + 1)
            assert any(set(between[at : at + min_steps]) == {background} for at in runs)
        last = i


@given(st.lists(st.tuples(st.integers(1, 2), st.floats(0, 1)), max_size=40), st.floats(0.1, 1), st.floats(0.1, 1))
def test_a_stricter_threshold_never_decides_earlier(rows: list[tuple[int, float]], one: float, other: float) -> None:
    strict = run(EarlyDecisionRule(max(one, other), 2, None), *rows)
    lenient = run(EarlyDecisionRule(min(one, other), 2, None), *rows)
    assert not strict or lenient[0] <= strict[0]
