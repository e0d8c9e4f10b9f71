from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inkling.training.seeds import mixed_seed

NUMBERS = st.lists(st.integers(0, 2**31), min_size=1, max_size=4)


def test_a_seed_never_changes() -> None:
    """Else a resumed run would draw otherwise than it began."""
    assert mixed_seed(0) == 7896617691693857887
    assert mixed_seed(1, 2, 3) == 6498626229777268288


@given(NUMBERS)
def test_a_seed_is_one_that_numpy_and_torch_take(numbers: list[int]) -> None:
    assert 0 <= mixed_seed(*numbers) < 2**63


def test_neighbouring_numbers_and_their_order_matter() -> None:
    drawn = [mixed_seed(*numbers) for numbers in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))]
    drawn += [mixed_seed(7, epoch) for epoch in range(1000)]
    assert len(set(drawn)) == len(drawn)
