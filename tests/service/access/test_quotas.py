from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.access.quotas import BURST_S, Quota, Quotas
from inkling.service.protocol.errors import OverQuota


def test_a_token_opens_so_many_streams_at_once() -> None:
    quotas = Quotas(Quota(streams=2))
    quotas.open_stream("a")
    quotas.open_stream("a")
    with pytest.raises(OverQuota, match="2 streams"):
        quotas.open_stream("a")
    quotas.open_stream("b")
    quotas.close_stream("a")
    quotas.open_stream("a")


def test_a_token_adds_so_many_sources() -> None:
    quotas = Quotas(Quota(sources=1))
    quotas.check_sources("a")
    quotas.add_source("a", "door")
    with pytest.raises(OverQuota, match="1 sources"):
        quotas.check_sources("a")
    quotas.check_sources("b")
    quotas.remove_source("door")
    quotas.check_sources("a")


def test_without_a_quota_nothing_is_limited() -> None:
    quotas = Quotas(Quota())
    for _ in range(1000):
        quotas.open_stream("a")
    quotas.check_sources("a")
    assert not quotas.limits_bytes
    assert quotas.take_bytes("a", 10**12, 0.0) == 0


def test_more_bytes_than_granted_must_wait_as_long_as_they_take() -> None:
    quotas = Quotas(Quota(bytes_per_s=1000))
    assert quotas.take_bytes("a", int(1000 * BURST_S), 0.0) == 0
    assert quotas.take_bytes("a", 500, 0.0) == pytest.approx(0.5)
    assert quotas.take_bytes("a", 0, 0.5) == 0
    assert quotas.take_bytes("b", 1, 0.0) == 0


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 2)), max_size=50))
def test_who_waits_as_told_never_exceeds_the_rate(chunks: list[tuple[int, float]]) -> None:
    quotas, now_s, sent = Quotas(Quota(bytes_per_s=1000)), 0.0, 0
    for count, pause_s in chunks:
        now_s += pause_s + quotas.take_bytes("a", count, now_s + pause_s)
        sent += count
        assert sent <= 1000 * (now_s + BURST_S) + 1e-3
