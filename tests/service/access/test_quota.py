from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inkling.service.access.quota import Quota

_numbers = st.one_of(st.none(), st.integers(1, 9))
_quotas = st.builds(Quota, _numbers, _numbers, _numbers, _numbers)


@given(_quotas)
def test_a_quota_that_says_nothing_is_the_usual_one(usual: Quota) -> None:
    assert Quota().or_else(usual) == usual


@given(_quotas, _quotas)
def test_each_number_of_its_own_stands(own: Quota, usual: Quota) -> None:
    both = own.or_else(usual)
    for name in ("streams", "people", "sources", "bytes_per_s"):
        said = getattr(own, name)
        assert getattr(both, name) == (getattr(usual, name) if said is None else said)
