from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol.prediction_value import foretold_s, top


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(1, 25))
def test_the_top_are_the_largest_the_largest_first(probabilities: list[float], k: int) -> None:
    found = top(probabilities, k)
    shown = [probabilities[index] for index in found]
    assert len(set(found)) == len(found) == min(k, len(probabilities))
    assert shown == sorted(probabilities, reverse=True)[:k]


def test_an_answer_is_of_so_much_later_to_a_microsecond_or_of_its_frame() -> None:
    assert foretold_s(1.5, None) is None
    assert foretold_s(0.1, 0.2) == 0.3
    assert foretold_s(1_700_000_000.25, 0.5333) == 1_700_000_000.7833
