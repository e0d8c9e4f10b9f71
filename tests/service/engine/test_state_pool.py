from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models.bundle.schema import StateTensor
from inkling.service.engine.state_pool import HostPool, Slot
from inkling.service.protocol.errors import NoSlot

STATE = (
    StateTensor(input="h", output="h_next", shape=(2,), initial=0.5),
    StateTensor(input="count", output="count_next", shape=(), dtype="int64", initial=7),
)


def pool(slots: int = 4) -> HostPool:
    return HostPool(STATE, slots, max_batch=4)


def rows(*slots: Slot) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return np.array([slot.index for slot in slots]), np.array([slot.generation for slot in slots])


def epochs(*values: int) -> NDArray[np.int64]:
    return np.array(values)


def outputs(*values: float) -> dict[str, NDArray[Any]]:
    return {
        "h_next": np.array([[value, value] for value in values], np.float32),
        "count_next": np.array(values, np.int64),
    }


def test_the_lowest_free_row_is_given_first() -> None:
    states = pool(3)
    slots = [states.acquire() for _ in range(3)]
    assert [slot.index for slot in slots] == [0, 1, 2]
    states.release(slots[1])
    states.release(slots[0])
    assert states.acquire().index == 0
    assert states.used == 2


def test_a_full_pool_says_so() -> None:
    states = pool(1)
    states.acquire()
    with pytest.raises(NoSlot, match="all 1 places"):
        states.acquire()


def test_a_slot_released_twice_is_refused_and_changes_nothing() -> None:
    states = pool(2)
    slot = states.acquire()
    states.release(slot)
    with pytest.raises(ValueError, match="released before"):
        states.release(slot)
    assert {states.acquire().index, states.acquire().index} == {0, 1}


def test_a_new_row_starts_from_its_initial_values() -> None:
    states = pool()
    gathered = states.gather(*rows(states.acquire(), states.acquire()), epochs(0, 0))
    assert gathered["h"].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert gathered["count"].tolist() == [7, 7]
    assert gathered["count"].dtype == np.int64


def test_gather_gives_back_what_scatter_stored_in_any_order() -> None:
    states = pool()
    a, b, c = (states.acquire() for _ in range(3))
    states.scatter(*rows(c, a, b), epochs(0, 0, 0), outputs(3, 1, 2))
    gathered = states.gather(*rows(b, c), epochs(0, 0))
    assert gathered["h"].tolist() == [[2, 2], [3, 3]]
    assert gathered["count"].tolist() == [2, 3]


def test_another_epoch_starts_anew_and_only_that_row() -> None:
    states = pool()
    a, b = states.acquire(), states.acquire()
    states.scatter(*rows(a, b), epochs(0, 0), outputs(1, 2))
    assert states.gather(*rows(a, b), epochs(1, 0))["count"].tolist() == [7, 2]


def test_rows_that_are_not_kept_stay_as_they_were() -> None:
    states = pool()
    a, b = states.acquire(), states.acquire()
    states.scatter(*rows(a, b), epochs(0, 0), outputs(1, 2))
    states.scatter(*rows(a, b), epochs(0, 1), outputs(10, 20), np.array([True, False]))
    assert states.gather(*rows(a, b), epochs(0, 0))["count"].tolist() == [10, 2]


def test_the_next_tenant_of_a_row_starts_from_its_initial_values() -> None:
    states = pool(1)
    first = states.acquire()
    states.scatter(*rows(first), epochs(0), outputs(1))
    states.release(first)
    second = states.acquire()
    assert second.index == first.index
    assert states.gather(*rows(second), epochs(0))["count"].tolist() == [7]


def test_a_late_step_does_not_overwrite_the_next_tenant() -> None:
    states = pool(1)
    first = states.acquire()
    states.release(first)
    second = states.acquire()
    states.scatter(*rows(second), epochs(0), outputs(5))
    states.scatter(*rows(first), epochs(0), outputs(1))
    assert states.gather(*rows(second), epochs(0))["count"].tolist() == [5]


def test_a_row_written_late_before_the_next_tenant_steps_is_not_read_by_it() -> None:
    """The worst race: scatter has checked the generation, then the slot changes hands, then the row is written."""
    states = pool(1)
    first = states.acquire()
    states.scatter(*rows(first), epochs(0), outputs(1))  # what the late write leaves: first's state under first's tag
    states.release(first)
    second = states.acquire()
    gathered = states.gather(*rows(second), epochs(0))
    assert gathered["h"].tolist() == [[0.5, 0.5]]
