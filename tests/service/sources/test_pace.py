from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.sources.pace import LONGEST_S, Pacer


def test_frames_are_shown_at_their_distances() -> None:
    pacer = Pacer()
    assert pacer.wait_s(5.0, 100.0) == 0.0
    assert pacer.wait_s(5.5, 100.1) == pytest.approx(0.4)
    assert pacer.wait_s(6.0, 101.2) == 0.0  # a little late: the next one catches up
    assert pacer.wait_s(6.5, 101.2) == pytest.approx(0.3)


def test_who_is_too_late_does_not_hurry() -> None:
    pacer = Pacer()
    pacer.wait_s(0.0, 100.0)
    assert pacer.wait_s(0.1, 110.0) == 0.0
    assert pacer.wait_s(0.2, 110.0) == pytest.approx(0.1)


def test_a_long_pause_is_cut_short() -> None:
    pacer = Pacer()
    pacer.wait_s(0.0, 100.0)
    assert pacer.wait_s(60.0, 100.0) == LONGEST_S
    assert pacer.wait_s(60.5, 102.0) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0, 100)), max_size=30))
def test_nobody_waits_for_long_whatever_the_times_are(frames: list[tuple[float, float]]) -> None:
    pacer, now_s = Pacer(), 0.0
    for media_s, step_s in frames:
        now_s += step_s
        assert 0 <= pacer.wait_s(media_s, now_s) <= LONGEST_S
