from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.engine.track_age import TrackAges


def column(*values: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array(values, np.int64)


def step(ages: TrackAges, row: int, generation: int, epoch: int, *, stepped: bool = True) -> int:
    """One step of one row; its age before it."""
    found = ages.step(column(row), column(generation), column(epoch), None if stepped else np.array([False]))
    return int(found[0])


def test_a_row_counts_its_steps() -> None:
    ages = TrackAges(2)
    assert [step(ages, 1, 0, 0) for _ in range(3)] == [0, 1, 2]
    assert step(ages, 0, 0, 0) == 0


def test_a_new_tenant_and_a_new_epoch_count_from_nothing() -> None:
    ages = TrackAges(1)
    assert [step(ages, 0, 0, 0), step(ages, 0, 0, 0), step(ages, 0, 0, 1), step(ages, 0, 1, 1)] == [0, 1, 0, 0]


def test_a_failed_step_ages_nobody() -> None:
    ages = TrackAges(1)
    assert [step(ages, 0, 0, 0), step(ages, 0, 0, 0, stepped=False), step(ages, 0, 0, 0)] == [0, 1, 1]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=40))
def test_a_batch_ages_as_its_rows_alone(taken: list[tuple[int, int, bool]]) -> None:
    together, alone = TrackAges(3), TrackAges(3)
    for first, epoch, stepped in taken:
        rows = column(first, (first + 1) % 3)
        generations, epochs = column(0, 0), column(epoch, epoch)
        found = together.step(rows, generations, epochs, np.array([stepped, True]))
        assert found.tolist() == [
            step(alone, int(rows[0]), 0, epoch, stepped=stepped),
            step(alone, int(rows[1]), 0, epoch),
        ]
