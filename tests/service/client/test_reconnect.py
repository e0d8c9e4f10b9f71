from __future__ import annotations

import random

import pytest

from inkling.service.client.reconnect import Backoff, Reconnect


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(Reconnect(first_s=1.0, most_s=5.0, tries=5, give_up_s=1e9), lambda: 0.0)
    assert [backoff.next_s(0.0) for _ in range(6)] == [1.0, 2.0, 4.0, 5.0, 5.0, None]


def test_chance_shortens_a_wait_to_as_little_as_half() -> None:
    waits = [Backoff(Reconnect(first_s=1.0), random.Random(seed).random).next_s(0.0) for seed in range(200)]
    assert all(wait is not None and 0.5 < wait <= 1.0 for wait in waits)
    assert len(set(waits)) == 200


def test_no_try_begins_later_than_the_time_that_is_left() -> None:
    backoff = Backoff(Reconnect(first_s=1.0, most_s=100.0, tries=100, give_up_s=10.0), lambda: 0.0)
    assert backoff.next_s(0.0) == 1.0
    assert backoff.next_s(8.0) == 10.0
    assert backoff.next_s(8.0) is None


def test_success_begins_anew() -> None:
    backoff = Backoff(Reconnect(first_s=1.0, tries=1), lambda: 0.0)
    assert backoff.next_s(0.0) == 1.0
    assert backoff.next_s(1.0) is None
    backoff.succeeded()
    assert backoff.next_s(1000.0) == pytest.approx(1001.0)


def test_many_tries_do_not_overflow() -> None:
    backoff = Backoff(Reconnect(tries=5000, give_up_s=1e9), lambda: 0.0)
    assert {backoff.next_s(0.0) for _ in range(5000)} <= {0.5, 1.0, 2.0, 4.0, 8.0, 15.0}
