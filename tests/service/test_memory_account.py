"""The account of promised memory: it adds up, and nobody shuts the others out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.memory_account import KINDS, MIB, Kind, MemoryAccount, default_limit
from inkling.service.protocol.errors import OverCapacity


def test_a_container_of_1_gib_promises_256_mib_and_a_tiny_one_still_something() -> None:
    assert default_limit(1024 * MIB) == 256 * MIB
    assert default_limit(100 * MIB) == 64 * MIB
    assert default_limit(8192 * MIB) > 3000 * MIB


def test_more_than_there_is_is_refused_and_counted_and_leaves_what_was_held() -> None:
    account = MemoryAccount(100)
    share = account.share("videos")
    share.take(70)
    with pytest.raises(OverCapacity, match="try again"):
        share.take(6)
    assert (share.bytes, account.promised["videos"], account.refused["videos"]) == (70, 70, 1)
    share.take(5)


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_takes_all_of_it(kind: Kind) -> None:
    account = MemoryAccount(1000)
    with account.share(kind) as share:
        share.take(share.most)
        assert not share.fits(1)
        others = [other for other in KINDS if other != kind]
        assert all(account.fits(other, 1000 - share.most) for other in others)
        assert not any(account.fits(other, 1001 - share.most) for other in others)
    assert account.promised == dict.fromkeys(KINDS, 0)


def test_what_is_changed_in_vain_stays_as_it_was() -> None:
    account = MemoryAccount(100)
    share = account.share("images")
    share.change(40)
    share.change(10)
    with pytest.raises(OverCapacity):
        share.change(60)
    assert share.bytes == account.promised["images"] == 10


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60))))
def test_the_account_is_the_sum_of_its_shares_and_never_above_its_limit(changes: list[tuple[int, int]]) -> None:
    account = MemoryAccount(150)
    shares = [account.share(KINDS[number % len(KINDS)]) for number in range(6)]
    for number, size in changes:
        before = shares[number].bytes
        try:
            shares[number].change(size)
        except OverCapacity:
            assert shares[number].bytes == before
        for kind in KINDS:
            assert account.promised[kind] == sum(share.bytes for share in shares if share.kind == kind)
            assert account.promised[kind] <= account.most(kind)
        assert sum(account.promised.values()) <= 150
    for share in shares:
        share.close()
        share.close()
    assert sum(account.promised.values()) == 0
