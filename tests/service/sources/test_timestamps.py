from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.models.clock import Resampler, step_frames
from inkling.service.sources.timestamps import CONFIRM_S, SLACK_S, TRUSTED_S, WINDOW_S, SourceClock

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
        assert abs(pts_s - max(now_s - 3.0, last_s)) <= TRUSTED_S + 0.01
        last_s = pts_s


# -- clocks of cameras --------------------------------------------------------------------------------------------
SETTLED_S = 20.0
PAUSE_S = 0.5
"""A frame's longest delay."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A camera's frames: when they were seen, when they came, and the stamps. warnings: every one that there was."""

    seen: list[float]
    arrived: list[float]
    stamps: list[float]
    warnings: list[str | None]

    def longest_interval_s(self) -> float:
        return max(after - before for before, after in itertools.pairwise(self.stamps))

    def errors(self, from_s: float) -> list[float]:
        """Of the stamps against the time at which frames were seen."""
        return [stamp - seen for stamp, seen in zip(self.stamps, self.seen, strict=True) if seen >= from_s]


def watch(
    media_s: Callable[[float], float], fps: float, random: Random, *, seconds: float = 46.0, group: int = 50
) -> Watched:
    """A camera that stamps what it sees at t with `media_s(t)`. At each key frame, one in `group`, frames are delayed
    by 0.4 to 0.5 s and then come in a burst; others by some milliseconds."""
    clock, arrived_s = SourceClock(live=True, opened_s=0.0), 0.0
    watched = Watched([], [], [], [])
    held_until_s = 0.0
    for frame in range(int(seconds * fps)):
        seen_s = frame / fps
        if frame % group == 0:
            held_until_s = seen_s + random.uniform(0.4, PAUSE_S - 0.02)
        arrived_s = max(arrived_s, held_until_s, seen_s + random.uniform(0, 0.02))
        watched.seen.append(seen_s)
        watched.arrived.append(arrived_s)
        watched.stamps.append(clock.stamp(media_s(seen_s), arrived_s))
        watched.warnings.append(clock.warning)
    return watched


@dataclass(frozen=True, slots=True)
class WrongClock:
    """Right until `since_s`, then at `rate` with `jitter_s`, and with jumps: (at_s, by_s)."""

    since_s: float
    rate: float
    jitter_s: float
    jumps: tuple[tuple[float, float], ...]
    seed: int

    def __call__(self, seen_s: float) -> float:
        jitter_s = Random(f"{self.seed} {seen_s}").uniform(-1, 1) * self.jitter_s
        jumped_s = sum(by_s for at_s, by_s in self.jumps if seen_s >= at_s)
        wrong_s = max(seen_s - self.since_s, 0.0)
        return min(seen_s, self.since_s) + self.rate * wrong_s + jumped_s + jitter_s


clocks = st.builds(
    WrongClock,
    since_s=st.sampled_from([0.0, 5.0, 25.0]),
    rate=st.sampled_from([0.0, 0.5, 1.0, 2.0, 0.84]) | st.floats(0, 30),
    jitter_s=st.sampled_from([0.0, 0.005, 0.2]),
    jumps=st.lists(st.tuples(st.floats(0, 40), st.floats(-100, 100)), max_size=3).map(tuple),
    seed=st.integers(0, 2**16),
)


@settings(deadline=None, max_examples=15)
@given(clocks, st.floats(5, 30), st.integers(20, 100), st.randoms(use_true_random=False))
def test_no_clock_makes_a_gap_or_runs_backward_and_all_settle_near_the_truth(
    clock: WrongClock, fps: float, group: int, random: Random
) -> None:
    watched = watch(clock, fps, random, group=max(group, int(2 * fps)))
    assert all(after >= before for before, after in itertools.pairwise(watched.stamps))
    assert watched.longest_interval_s() < 1.0, "a reset that the true stream has not"
    assert max(map(abs, watched.errors(0.0))) <= TRUSTED_S + PAUSE_S
    if not 0.88 < clock.rate < 1.12 and not clock.jumps:
        settled_s = clock.since_s + SETTLED_S
        assert max(map(abs, watched.errors(settled_s))) <= SLACK_S + PAUSE_S
        assert watched.warnings[-1] is not None


@pytest.mark.parametrize("since_s", [0.0, 20.0])
@pytest.mark.parametrize("rate", [0.0, 0.5, 2.0, 21 / 25])
def test_a_wrong_clock_is_said_and_its_frames_are_evenly_timed(rate: float, since_s: float) -> None:
    clock = WrongClock(since_s, rate, 0.0, (), 0)
    watched = watch(clock, 25.0, Random(4))
    noticed_s = next(seen for seen, warning in zip(watched.seen, watched.warnings, strict=True) if warning)
    assert noticed_s <= since_s + WINDOW_S + CONFIRM_S
    said = watched.warnings[-1] or ""
    assert said.endswith("frames are timed by their arrival")
    if rate:
        assert float(said.split(" runs at ")[1].split()[0]) == pytest.approx(rate, abs=0.03)
    else:
        assert "stands still" in said
    settled = [s for s, seen in zip(watched.stamps, watched.seen, strict=True) if seen > since_s + SETTLED_S]
    intervals = sorted(after - before for before, after in itertools.pairwise(settled))
    assert intervals[len(intervals) // 20] > 0.03, "frames that came in bursts are spread"
    assert intervals[-1] < 0.1
    steps = step_frames(settled, 10.0)
    assert len(set(steps)) > 0.95 * len(steps), "nothing is held for long"


def test_a_clock_that_stands_still_costs_less_than_a_second_of_steps() -> None:
    watched = watch(lambda seen_s: 7.0, 25.0, Random(4), seconds=204 / 25)
    resampler = Resampler(10.0)
    verdicts = [resampler.push(stamp) for stamp in watched.stamps]
    assert all(verdict.reset is None for verdict in verdicts)
    assert sum(verdict.steps > 0 for verdict in verdicts) > 55  # of the 82 that a right clock has; it was 4


@settings(deadline=None, max_examples=10)
@given(st.floats(0.97, 1.03), st.floats(5, 60), st.randoms(use_true_random=False))
def test_a_right_clock_keeps_its_distances_and_nothing_is_said(rate: float, fps: float, random: Random) -> None:
    watched = watch(lambda seen_s: 1e5 + seen_s * rate, fps, random, seconds=30.0, group=max(10, int(2 * fps)))
    assert set(watched.warnings) == {None}
    found = [stamp - watched.stamps[0] for stamp in watched.stamps]
    if abs(rate - 1) * 30 + 0.02 < SLACK_S - PAUSE_S:
        assert found == pytest.approx([rate * seen_s for seen_s in watched.seen], abs=1e-6)


def test_a_stall_of_the_network_does_not_move_a_clock_that_has_proved_right() -> None:
    clock = SourceClock(live=True, opened_s=0.0)
    arrivals = [max(k / 25, 21.8 if 20 <= k / 25 < 21.8 else 0.0) for k in range(1000)]
    stamps = [clock.stamp(k / 25, arrived_s) for k, arrived_s in enumerate(arrivals)]
    assert stamps == pytest.approx([k / 25 for k in range(1000)])
    assert clock.warning is None


def test_a_clock_that_is_right_again_is_believed_again() -> None:
    watched = watch(lambda seen_s: min(seen_s, 10.0) + max(seen_s - 30.0, 0.0), 25.0, Random(4))
    assert watched.warnings[25 * 28] is not None
    assert watched.warnings[-1] is None
    assert watched.longest_interval_s() < 1.0


def test_a_new_connection_has_a_new_clock() -> None:
    clock = SourceClock(live=True, opened_s=0.0)
    for k in range(200):
        clock.stamp(0.0, k / 25)
    assert clock.warning is not None
    clock.begin()
    assert clock.warning is None


@given(st.lists(st.tuples(st.none() | seconds, st.booleans()), max_size=30))
def test_times_of_a_file_are_numbers_from_zero_on(frames: list[tuple[float | None, bool]]) -> None:
    line = SourceClock(live=False, opened_s=0.0)
    for media_s, begins in frames:
        if begins:
            line.begin()
        assert 0 <= line.stamp(media_s, 0.0) < math.inf
