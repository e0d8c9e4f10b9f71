"""The token bucket: what it allows at once, and what in the long run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inkling.service.websocket.budget import Budget


def test_a_burst_is_taken_and_time_gives_the_rest() -> None:
    budget = Budget(per_s=10.0, burst=5)
    assert budget.spend(5, 100.0)
    assert not budget.spend(1, 100.0)
    assert budget.spend(1, 100.125)
    assert not budget.spend(6, 1000.0), "it holds no more than a burst"
    assert budget.spend(5, 1000.0)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 20)), max_size=200))
def test_no_pattern_gets_more_than_the_burst_and_the_rate(asked: list[tuple[float, int]]) -> None:
    budget, now_s, taken = Budget(per_s=7.0, burst=9), 0.0, 0
    for wait_s, cost in asked:
        now_s += wait_s
        if budget.spend(cost, now_s):
            taken += cost
        assert taken <= 9 + 7.0 * now_s + 1e-6
