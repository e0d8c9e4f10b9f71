from __future__ import annotations

import pytest

from inkling.training.study.statistics import estimate, paired


def test_the_interval_is_students() -> None:
    found = estimate([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.n, found.mean) == (5, 3.0)
    assert found.sd == pytest.approx(1.5811388)
    assert found.low == pytest.approx(3 - 2.776445 * 1.5811388 / 5**0.5)  # t at 4 degrees of freedom, from a table
    assert found.high == pytest.approx(3 + 2.776445 * 1.5811388 / 5**0.5)


def test_one_value_has_no_interval() -> None:
    assert estimate([0.5]).model_dump() == {"n": 1, "mean": 0.5, "sd": None, "low": None, "high": None}


def test_nothing_cannot_be_estimated_from() -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate([])


def test_a_paired_difference_knows_only_the_seeds_that_both_have() -> None:
    found = paired({0: 0.5, 1: 0.7, 2: 0.9}, {1: 0.6, 2: 0.8, 3: 0.1})
    assert found is not None
    assert found.n == 2
    assert found.mean == pytest.approx(0.1)
    assert found.sd == pytest.approx(0, abs=1e-12), "a difference that is always the same is certain"
    assert paired({0: 0.5}, {1: 0.5}) is None
