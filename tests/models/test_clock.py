from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.clock import LATE_IN_A_ROW, GapPolicy, Resampler, Verdict, step_frames

rates = st.floats(1, 120)
finite = st.floats(allow_nan=False, allow_infinity=False)


def verdicts(
    pts_s: Iterable[float], rate_hz: float, policy: GapPolicy = "hold", max_gap_s: float = 1.0
) -> list[Verdict]:
    resampler = Resampler(rate_hz, policy, max_gap_s)
    return [resampler.push(pts) for pts in pts_s]


def stepped(pts_s: Iterable[float], rate_hz: float) -> list[int]:
    """Indices of the frames that step, each exactly once and without a reset."""
    found = verdicts(pts_s, rate_hz, max_gap_s=2)
    assert all(verdict in (Verdict(0), Verdict(1)) for verdict in found)
    return [i for i, verdict in enumerate(found) if verdict.steps]


# -- regular sources -----------------------------------------------------------------------------------------------
def test_the_first_frame_steps_at_once_and_resets_nothing() -> None:
    assert verdicts([123.4], 15) == [Verdict(1)]


def test_a_source_at_the_models_rate_steps_every_frame() -> None:
    assert stepped((k / 15 for k in range(100)), 15) == list(range(100))


def test_a_source_at_twice_the_models_rate_steps_every_second_frame() -> None:
    assert stepped((k / 30 for k in range(100)), 15) == list(range(0, 100, 2))


def test_millisecond_time_stamps_do_not_disturb_the_choice() -> None:
    assert stepped((round(k / 30, 3) for k in range(900)), 15) == list(range(0, 900, 2))


@given(rate_hz=rates, factor=st.floats(1, 50), origin_s=st.floats(0, 1e6), frames=st.integers(2, 600))
def test_any_regular_faster_source_gives_one_step_per_tick_with_its_nearest_frame(
    rate_hz: float, factor: float, origin_s: float, frames: int
) -> None:
    source_hz = rate_hz * factor
    times = [k / source_hz for k in range(frames)]
    chosen = stepped((origin_s + time for time in times), rate_hz)
    for tick, frame in enumerate(chosen):  # no tick is left out and none steps twice
        assert abs(times[frame] * rate_hz - tick) <= 0.5 / factor + 1e-6
    assert len(chosen) - 1 == pytest.approx(times[-1] * rate_hz, abs=0.5 / factor + 1)


@given(rate_hz=rates, factor=st.floats(1, 10), frames=st.integers(2, 200))
def test_any_regular_slower_source_steps_every_frame_and_holds_for_the_ticks_between(
    rate_hz: float, factor: float, frames: int
) -> None:
    interval_s = factor / rate_hz
    times = [k * interval_s for k in range(frames)]
    held = verdicts(times, rate_hz, "hold", max_gap_s=math.inf)
    assert all(verdict.steps >= 1 and verdict.reset is None for verdict in held)
    assert sum(verdict.steps for verdict in held) - 1 == pytest.approx(times[-1] * rate_hz, abs=0.5 + 1e-6)
    assert verdicts(times, rate_hz, "skip", max_gap_s=math.inf) == [Verdict(1)] * frames


@pytest.mark.parametrize(("source_hz", "steps"), [(30, 500_000), (15, 1_000_000), (29.97, 500_501), (60, 250_000)])
def test_a_million_frames_do_not_drift(source_hz: float, steps: int) -> None:
    resampler = Resampler(15)
    total = sum(resampler.push(1000 + k / source_hz).steps for k in range(1_000_000))
    assert total == pytest.approx(steps, abs=1)


# -- irregular sources ---------------------------------------------------------------------------------------------
@given(st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=300))
def test_jitter_of_a_fifth_of_the_interval_changes_nothing_at_twice_the_rate(jitter: list[float]) -> None:
    times = [0.0, *((k + shift) / 30 for k, shift in enumerate(jitter, start=1))]
    assert stepped(times, 15) == list(range(0, len(times), 2))


@given(st.lists(st.floats(0, 0.4), min_size=1, max_size=300))
def test_with_hold_the_models_time_never_parts_from_the_streams_time(intervals_s: list[float]) -> None:
    times = list(itertools.accumulate(intervals_s, initial=0.0))
    resampler, ticks = Resampler(15, "hold", max_gap_s=1), -1
    for time in times:
        verdict = resampler.push(time)
        ticks += verdict.steps
        behind = time * 15 - ticks
        assert -0.5 - 1e-9 <= behind < 1 + 1e-9  # at most half a tick ahead, and never a whole one behind


def test_a_tick_without_a_frame_is_held_or_skipped_by_policy() -> None:
    times = [0.0, 1 / 15, 5 / 15, 6 / 15]
    assert [v.steps for v in verdicts(times, 15, "hold")] == [1, 1, 4, 1]
    assert [v.steps for v in verdicts(times, 15, "skip")] == [1, 1, 1, 1]


def test_a_gap_up_to_the_limit_is_held_and_a_longer_one_resets() -> None:
    assert verdicts([0.0, 1.0], 10, max_gap_s=1.0) == [Verdict(1), Verdict(10)]
    assert verdicts([0.0, 1.001, 1.101], 10, max_gap_s=1.0) == [Verdict(1), Verdict(1, "gap"), Verdict(1)]


def test_a_repeated_time_stamp_is_skipped() -> None:
    assert [v.steps for v in verdicts([0.0, 0.0, 0.1, 0.1, 0.1, 0.2], 10)] == [1, 0, 1, 0, 0, 1]


def test_a_frame_at_most_one_tick_late_is_skipped_and_does_not_move_the_clock() -> None:
    assert verdicts([0.0, 0.1, 0.2, 0.11, 0.3], 10) == [Verdict(1), Verdict(1), Verdict(1), Verdict(0), Verdict(1)]


@given(st.integers(0, 2**32), st.floats(10, 60), st.floats(5, 30))
def test_workers_that_put_frames_out_of_order_by_up_to_eight_reset_nothing(
    seed: int, source_hz: float, rate_hz: float
) -> None:
    random = Random(seed)
    order = sorted(range(300), key=lambda k: k + random.uniform(-8, 8))
    found = verdicts((k / source_hz for k in order), rate_hz, max_gap_s=17 / source_hz)
    assert all(verdict.reset is None for verdict in found)
    newest = -1
    for k, verdict in zip(order, found, strict=True):  # only frames after all others so far are stepped
        assert not verdict.steps or k > newest
        newest = max(newest, k)


def test_a_frame_late_by_up_to_the_gap_limit_is_skipped_and_by_more_a_jump() -> None:
    assert verdicts([5.0, 4.0, 5.1], 10) == [Verdict(1), Verdict(0), Verdict(1)]
    assert verdicts([5.0, 3.999, 4.1], 10) == [Verdict(1), Verdict(1, "backward"), Verdict(1)]


def test_a_clock_that_stays_back_resets_once() -> None:
    back = [4.2 + k / 100 for k in range(LATE_IN_A_ROW + 3)]
    found = verdicts([5.0, *back], 10)
    assert found[1 : LATE_IN_A_ROW + 1] == [Verdict(0)] * LATE_IN_A_ROW
    assert found[LATE_IN_A_ROW + 1] == Verdict(1, "backward")
    assert [verdict.reset for verdict in found].count("backward") == 1


def test_late_frames_with_others_on_time_between_them_never_reset() -> None:
    two_clocks = [5 + k / 30 - (0.5 if k % 2 else 0.0) for k in range(300)]
    assert all(verdict.reset is None for verdict in verdicts(two_clocks, 15))


def test_a_clock_that_stands_still_is_skipped_for_as_long_as_it_does() -> None:
    assert verdicts([5.0] * 200, 15) == [Verdict(1)] + [Verdict(0)] * 199


def test_a_backward_jump_resets_and_starts_a_new_clock() -> None:
    found = verdicts([5.0, 5.1, 2.03, 2.13, 2.18], 10)
    assert found == [Verdict(1), Verdict(1), Verdict(1, "backward"), Verdict(1), Verdict(0)]


def test_restart_begins_again_at_any_time_without_a_reason() -> None:
    resampler = Resampler(10)
    assert [resampler.push(t).steps for t in (7.0, 7.1)] == [1, 1]
    resampler.restart()
    assert resampler.push(3.0) == Verdict(1)
    assert resampler.push(3.1) == Verdict(1)


# -- anything ------------------------------------------------------------------------------------------------------
@given(st.lists(finite), rates, st.sampled_from(["hold", "skip"]))
def test_any_finite_times_give_a_bounded_verdict(times: list[float], rate_hz: float, policy: GapPolicy) -> None:
    most = 2 + rate_hz * 1.0 if policy == "hold" else 1
    assert all(0 <= verdict.steps <= most for verdict in verdicts(times, rate_hz, policy, max_gap_s=1.0))


@given(st.lists(finite), rates)
def test_a_reset_is_always_a_single_step_and_never_the_first(times: list[float], rate_hz: float) -> None:
    found = verdicts(times, rate_hz)
    assert all(verdict.reset is None for verdict in found[:1])
    assert all(verdict.steps == 1 for verdict in found if verdict.reset is not None)


@pytest.mark.parametrize("pts_s", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_not_finite_is_refused(pts_s: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Resampler(15).push(pts_s)


@pytest.mark.parametrize(
    ("rate_hz", "max_gap_s"), [(0, 1), (-1, 1), (math.nan, 1), (math.inf, 1), (15, 0), (15, math.nan)]
)
def test_a_rate_or_gap_that_is_no_positive_number_is_refused(rate_hz: float, max_gap_s: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Resampler(rate_hz, max_gap_s=max_gap_s)


# -- step_frames ---------------------------------------------------------------------------------------------------
@given(st.lists(st.floats(-100, 100)), rates, st.sampled_from(["hold", "skip"]), st.sampled_from([0.5, math.inf]))
def test_step_frames_is_what_a_stream_of_the_same_frames_would_step(
    times: list[float], rate_hz: float, policy: GapPolicy, max_gap_s: float
) -> None:
    shown: list[int] = []  # what the model sees, one entry per step, from the words of Verdict's docstring
    for frame, verdict in enumerate(verdicts(times, rate_hz, policy, max_gap_s)):
        if verdict.steps:
            for _ in range(verdict.steps - 1):
                shown.append(shown[-1])
            shown.append(frame)
    assert step_frames(times, rate_hz, policy, max_gap_s) == shown


@given(st.lists(st.floats(0, 3), max_size=60), rates, st.sampled_from(["hold", "skip"]))
def test_what_becomes_of_late_frames_concerns_no_clip_of_training(
    intervals_s: list[float], rate_hz: float, policy: GapPolicy
) -> None:
    """Its times never decrease (`pose_file` refuses others): every frame is either after the newest or at its time."""
    times = list(itertools.accumulate(intervals_s, initial=0.0))
    steps, origin, newest, last_tick = [0], 0.0, 0.0, 0
    for frame, time in enumerate(times[1:], start=1):  # the rule for frames on time, written out
        if time > newest:
            reach = min((time - newest) * rate_hz, 1.0) / 2
            newest, tick = time, math.floor((time - origin) * rate_hz + reach)
            if tick > last_tick:
                held = tick - last_tick - 1 if policy == "hold" else 0
                steps += [steps[-1]] * held + [frame]
                last_tick = tick
    assert step_frames(times, rate_hz, policy) == steps


def test_step_frames_repeats_the_frames_of_a_slow_clip() -> None:
    assert step_frames([0.0, 0.2, 0.4], 15) == [0, 0, 0, 1, 1, 1, 2]


def test_step_frames_of_nothing_is_nothing() -> None:
    assert step_frames([], 15) == []
