from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.sources.timestamps import DRIFT_S, SourceClock

seconds = st.floats(-1e6, 1e6)


def test_a_file_keeps_its_own_times_from_its_first_frame_on() -> None:
    line = SourceClock(live=False, opened_s=100.0)
    stamps = [line.stamp(media_s, 500.0) for media_s in (7.0, 7.04, 7.5, 7.4)]
    assert stamps == pytest.approx([0.0, 0.04, 0.5, 0.4])


def test_a_loop_goes_on_after_one_interval() -> None:
    line = SourceClock(live=False, opened_s=0.0)
    first = [line.stamp(media_s, 0.0) for media_s in (0.0, 0.1, 0.2)]
    line.begin()
    second = [line.stamp(media_s, 0.0) for media_s in (0.0, 0.1)]
    assert first + second == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_frames_of_a_file_without_times_follow_at_the_last_interval() -> None:
    line = SourceClock(live=False, opened_s=0.0)
    assert [line.stamp(media_s, 0.0) for media_s in (0.0, 0.2, None, math.nan)] == pytest.approx([0.0, 0.2, 0.4, 0.6])


def test_a_camera_keeps_the_distances_of_its_own_clock() -> None:
    line = SourceClock(live=True, opened_s=100.0)
    arrivals = [(50.0, 100.5), (50.1, 100.9), (50.2, 100.91), (50.3, 100.92)]  # a pause at a key frame, then a burst
    assert [line.stamp(*pair) for pair in arrivals] == pytest.approx([0.5, 0.6, 0.7, 0.8])


def test_an_outage_is_as_long_as_it_was() -> None:
    line = SourceClock(live=True, opened_s=0.0)
    before = line.stamp(9.0, 1.0)
    line.begin()
    assert line.stamp(0.0, 8.0) - before == pytest.approx(7.0)


def test_a_camera_without_a_clock_is_stamped_on_arrival() -> None:
    line = SourceClock(live=True, opened_s=10.0)
    assert [line.stamp(None, arrived_s) for arrived_s in (10.5, 10.6, 10.6)] == pytest.approx([0.5, 0.6, 0.601])


@pytest.mark.parametrize("jump_s", [-30.0, -0.5, 30.0])
def test_a_camera_whose_clock_jumps_is_anchored_again(jump_s: float) -> None:
    line = SourceClock(live=True, opened_s=0.0)
    line.stamp(5.0, 1.0)
    assert line.stamp(5.0 + jump_s, 1.1) == pytest.approx(1.1)
    assert line.stamp(5.1 + jump_s, 1.2) == pytest.approx(1.2)


@given(st.lists(st.tuples(st.none() | seconds | st.just(math.nan), st.floats(0, 10), st.booleans()), max_size=30))
def test_live_time_never_runs_backward_and_stays_near_arrival(frames: list[tuple[float | None, float, bool]]) -> None:
    line, now_s, last_s = SourceClock(live=True, opened_s=3.0), 0.0, 0.0
    for media_s, step_s, begins in frames:
        now_s += step_s
        if begins:
            line.begin()
        pts_s = line.stamp(media_s, now_s)
        assert pts_s >= last_s
        assert abs(pts_s - max(now_s - 3.0, last_s)) <= DRIFT_S + 0.01
        last_s = pts_s


@given(st.lists(st.tuples(st.none() | seconds, st.booleans()), max_size=30))
def test_times_of_a_file_are_numbers_from_zero_on(frames: list[tuple[float | None, bool]]) -> None:
    line = SourceClock(live=False, opened_s=0.0)
    for media_s, begins in frames:
        if begins:
            line.begin()
        assert 0 <= line.stamp(media_s, 0.0) < math.inf
