from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inkling.service.access.throttle import FIRST_S, FORGOTTEN_S, FREE, LONGEST_S, MOST, Throttle


def failures(count: int, address: str = "192.0.2.1") -> Throttle:
    throttle = Throttle()
    for _ in range(count):
        throttle.failed(address, 0.0)
    return throttle


def test_a_few_failures_cost_nothing() -> None:
    assert failures(FREE - 1).wait_s("192.0.2.1", 0.0) == 0


def test_each_further_failure_doubles_the_wait_up_to_a_limit() -> None:
    waits = [failures(FREE + more).wait_s("192.0.2.1", 0.0) for more in range(4)]
    assert waits == [FIRST_S, 2 * FIRST_S, 4 * FIRST_S, 8 * FIRST_S]
    assert failures(FREE + 500).wait_s("192.0.2.1", 0.0) == LONGEST_S


def test_the_wait_ends_and_others_never_wait() -> None:
    throttle = failures(FREE)
    assert throttle.wait_s("192.0.2.1", FIRST_S) == 0
    assert throttle.wait_s("192.0.2.2", 0.0) == 0


def test_a_right_token_ends_the_wait() -> None:
    throttle = failures(FREE + 3)
    throttle.succeeded("192.0.2.1")
    assert throttle.wait_s("192.0.2.1", 0.0) == 0


def test_a_quiet_hour_is_a_new_beginning() -> None:
    throttle = failures(FREE + 3)
    throttle.failed("192.0.2.1", FORGOTTEN_S)
    assert throttle.wait_s("192.0.2.1", FORGOTTEN_S) == 0


def test_a_customers_ipv6_addresses_count_as_one() -> None:
    throttle = Throttle()
    for host in range(FREE):
        throttle.failed(f"2001:db8::{host + 1:x}", 0.0)
    assert throttle.wait_s("2001:db8::ffff", 0.0) == FIRST_S
    assert throttle.wait_s("2001:db8:0:1::1", 0.0) == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 10)), max_size=60))
def test_nobody_waits_longer_than_the_limit(tries: list[tuple[int, float]]) -> None:
    throttle, now_s = Throttle(), 0.0
    for host, passed_s in tries:
        now_s += passed_s
        throttle.failed(f"192.0.2.{host}", now_s)
        assert 0 <= throttle.wait_s(f"192.0.2.{host}", now_s) <= LONGEST_S
    assert throttle.total == len(tries)


def test_memory_is_bounded() -> None:
    throttle = Throttle()
    for host in range(MOST + 10):
        throttle.failed(f"10.{host >> 16}.{host >> 8 & 255}.{host & 255}", 0.0)
    assert len(throttle._failures) == MOST
