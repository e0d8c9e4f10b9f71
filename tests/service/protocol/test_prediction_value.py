from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol.prediction_value import top


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(1, 25))
def test_the_top_are_the_largest_the_largest_first(probabilities: list[float], k: int) -> None:
    found = top(probabilities, k)
    shown = [probabilities[index] for index in found]
    assert len(set(found)) == len(found) == min(k, len(probabilities))
    assert shown == sorted(probabilities, reverse=True)[:k]
