from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.access.quota import Quota
from inkling.service.access.quotas import BURST_S, Quotas
from inkling.service.access.roles import Identity, Role
from inkling.service.protocol.errors import OverQuota, PeopleOverQuota

ANN = Identity("a", "ann", Role.STREAM)
BEN = Identity("b", "ben", Role.STREAM)


def test_a_token_opens_so_many_streams_at_once() -> None:
    quotas = Quotas(Quota(streams=2))
    quotas.open_stream(ANN)
    quotas.open_stream(ANN)
    with pytest.raises(OverQuota, match="2 streams"):
        quotas.open_stream(ANN)
    quotas.open_stream(BEN)
    quotas.close_stream(ANN)
    quotas.open_stream(ANN)


def test_a_token_adds_so_many_sources() -> None:
    quotas = Quotas(Quota(sources=1))
    quotas.check_sources(ANN)
    quotas.add_source(ANN, "door")
    with pytest.raises(OverQuota, match="1 sources"):
        quotas.check_sources(ANN)
    quotas.check_sources(BEN)
    quotas.remove_source("door")
    quotas.check_sources(ANN)


def test_without_a_quota_nothing_is_limited() -> None:
    quotas = Quotas(Quota())
    for _ in range(1000):
        quotas.open_stream(ANN)
    quotas.check_sources(ANN)
    assert not quotas.limits_bytes(ANN)
    assert quotas.take_bytes(ANN, 10**12, 0.0) == 0


def test_more_bytes_than_granted_must_wait_as_long_as_they_take() -> None:
    quotas = Quotas(Quota(bytes_per_s=1000))
    assert quotas.take_bytes(ANN, int(1000 * BURST_S), 0.0) == 0
    assert quotas.take_bytes(ANN, 500, 0.0) == pytest.approx(0.5)
    assert quotas.take_bytes(ANN, 0, 0.5) == 0
    assert quotas.take_bytes(BEN, 1, 0.0) == 0


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 2)), max_size=50))
def test_who_waits_as_told_never_exceeds_the_rate(chunks: list[tuple[int, float]]) -> None:
    quotas, now_s, sent = Quotas(Quota(bytes_per_s=1000)), 0.0, 0
    for count, pause_s in chunks:
        now_s += pause_s + quotas.take_bytes(ANN, count, now_s + pause_s)
        sent += count
        assert sent <= 1000 * (now_s + BURST_S) + 1e-3


def test_people_count_over_all_streams_of_a_token() -> None:
    quotas = Quotas(Quota(people=2))
    one, other = quotas.people_of(ANN), quotas.people_of(ANN)
    assert one is not None
    assert other is not None
    one.take()
    other.take()
    assert one.full
    with pytest.raises(PeopleOverQuota, match="2 people"):
        one.take()
    of_ben = quotas.people_of(BEN)
    assert of_ben is not None
    assert not of_ben.full
    other.give_back()
    one.take()


def test_who_has_no_quota_of_people_is_not_counted() -> None:
    assert Quotas(Quota()).people_of(ANN) is None


def test_what_a_token_was_granted_itself_counts_in_place_of_the_usual() -> None:
    quotas = Quotas(Quota(streams=1, people=1))
    gateway = Identity("g", "gateway", Role.STREAM, Quota(streams=2, bytes_per_s=10))
    quotas.open_stream(gateway)
    quotas.open_stream(gateway)
    with pytest.raises(OverQuota, match="2 streams"):
        quotas.open_stream(gateway)
    assert quotas.of(gateway) == Quota(streams=2, people=1, bytes_per_s=10)
    assert quotas.limits_bytes(gateway)
    assert not quotas.limits_bytes(ANN)
