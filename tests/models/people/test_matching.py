"""Greedy pairs, against the definition."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inkling.models.people.matching import greedy_pairs

MATRICES = arrays(
    np.float64, st.tuples(st.integers(0, 6), st.integers(0, 6)), elements=st.sampled_from([0, 0.2, 0.5, 1])
)


@given(MATRICES)
def test_each_pair_is_the_most_alike_of_what_is_left(similarity: np.ndarray) -> None:
    left = similarity.copy()
    pairs = greedy_pairs(similarity, 0.2)
    for row, column in pairs:
        assert similarity[row, column] == left.max() >= 0.2
        left[row], left[:, column] = -1, -1
    assert not (left >= 0.2).any()


def test_equals_go_by_row_and_then_by_column() -> None:
    assert greedy_pairs(np.ones((2, 3)), 0.5) == [(0, 0), (1, 1)]
    assert greedy_pairs(np.array([[0.6, 0.9], [0.6, 0.9]]), 0.5) == [(0, 1), (1, 0)]
