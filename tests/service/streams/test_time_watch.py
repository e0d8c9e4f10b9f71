from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.bundle import Bundle
from inkling.models.clock import Resampler
from inkling.service.protocol.codec import ErrorMessage, Prediction
from inkling.service.protocol.errors import BadTime
from inkling.service.streams.limits import Limits
from inkling.service.streams.time_watch import RESETS_IN_A_ROW, SAY_AGAIN_S, SKIPPED_IN_A_TICK, TimeWatch
from tests.service.rig import Rig, Stream, body, tiny

RATE_HZ, MAX_GAP_S = 15.0, 1.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles"))


def sentences(pts_s: Iterable[float], now_s: Callable[[int], float] = lambda frame: 0.0) -> list[str]:
    """What a stream of one person with these times is told."""
    resampler, watch = Resampler(RATE_HZ, "hold", MAX_GAP_S), TimeWatch(RATE_HZ, MAX_GAP_S)
    said: list[BadTime | None] = []
    for number, time in enumerate(pts_s, start=1):
        verdict = resampler.push(time)
        if verdict.reset is not None:
            said.append(watch.reset(number, time, now_s(number)))
        if not verdict.steps and number % SKIPPED_IN_A_TICK == 0:
            said.append(watch.skipped(number, time, now_s(number)))
    return [str(error) for error in said if error is not None]


# -- what cannot be right ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("fps", [12, 25, 30, 60, 120])
@pytest.mark.parametrize(("unit", "share"), [("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)])
def test_times_in_another_unit_are_said_with_their_unit(fps: int, unit: str, share: float) -> None:
    (said,) = sentences(share * (1.7e6 + k / fps) for k in range(100))
    assert f"pts_s are seconds, and these look like {unit}" in said


def test_milliseconds_of_thirty_frames_a_second_are_thirty_three_seconds_apart() -> None:
    (said,) = sentences(k * 1000 / 30 for k in range(100))
    assert said.startswith("frames are 33 s apart")


def test_too_few_frames_are_said_with_what_the_bundle_needs() -> None:
    (said,) = sentences(k / 0.9 for k in range(100))
    assert said == (
        "0.9 frames a second are too few, every one resets the state: "
        "this bundle needs more than 1 a second, best 15 or more"
    )


def test_it_is_said_at_the_fifth_reset_in_a_row() -> None:
    assert sentences([0.0, *(5 + 2.0 * k for k in range(RESETS_IN_A_ROW - 1))]) == []
    assert len(sentences([0.0, *(5 + 2.0 * k for k in range(RESETS_IN_A_ROW))])) == 1


def test_two_cameras_in_one_stream_are_told_to_part() -> None:
    (said,) = sentences(k / 15 + (500.0 if k % 2 else 0.0) for k in range(100))
    assert "in a stream of their own" in said


def test_a_clock_that_runs_backward_is_said() -> None:
    (said,) = sentences(1000 - 2.0 * k for k in range(20))
    assert "jump back by more than 1 s" in said


def test_a_clock_that_stands_still_is_said() -> None:
    (said,) = sentences([7.0] * 204)
    assert "stand still" in said


def test_a_clock_that_hardly_moves_is_said() -> None:
    (said,) = sentences(k / 30 / 1e3 for k in range(300))
    assert "move on by 0.0033 s" in said


def test_it_is_said_again_once_a_minute_of_the_servers_time() -> None:
    frames = [k * 1000 / 30 for k in range(30 * 150)]  # 150 s of 30 frames a second, in milliseconds
    assert len(sentences(frames, lambda frame: frame / 30)) == 1 + 149 // SAY_AGAIN_S
    assert len(sentences([7.0] * 30 * 150, lambda frame: frame / 30)) == 1 + 149 // SAY_AGAIN_S


# -- what is healthy --------------------------------------------------------------------------------------------------
@given(
    rate=st.floats(1.2, 4).map(lambda times: times / MAX_GAP_S) | st.floats(1.2, 4).map(lambda times: times * RATE_HZ),
    jitter=st.lists(st.floats(-0.4, 0.4), min_size=50, max_size=300),
    gaps=st.dictionaries(st.integers(0, 40).map(lambda k: 7 * k), st.floats(1, 1e4), max_size=10),
)
def test_healthy_rates_with_jitter_and_gaps_are_not_spoken_of(
    rate: float, jitter: list[float], gaps: dict[int, float]
) -> None:
    times, gone_s = [], 0.0
    for frame, shift in enumerate(jitter):
        gone_s += gaps.get(frame, 0.0)
        times.append(10 + gone_s + (frame + shift) / rate)
    assert sentences(times) == []


@given(st.permutations(range(8)), st.floats(10, 120))
def test_frames_out_of_order_are_not_spoken_of(order: list[int], fps: float) -> None:
    assert sentences((8 * block + k) / fps for block in range(30) for k in order) == []


def test_a_repeated_time_here_and_there_is_not_spoken_of() -> None:
    assert sentences(k // 30 * 1.0 for k in range(3000)) == []  # whole seconds, of a coarse clock


def test_people_who_come_and_go_are_not_spoken_of(bundle: Bundle) -> None:
    """At each frame somebody returns after a gap: the stream's own frames are close together."""
    rig = Rig(bundle, Limits(slots=64, max_people=40, inbox=4, max_batch=8))
    stream = Stream(rig, policy="block")
    for seq in range(400):
        stream.send(seq, 10 + seq / 30, {seq % 40: body(seq)})
        rig.run()
    assert stream.session.counts.resets["gap"] == 360
    assert "bad_time" not in stream.session.counts.errors


def test_an_empty_scene_is_not_spoken_of(bundle: Bundle) -> None:
    stream = Stream(Rig(bundle))
    for seq in range(1000):
        stream.send(seq, seq / 30, {})
    assert stream.of(ErrorMessage) == []


# -- in a stream ------------------------------------------------------------------------------------------------------
def test_a_stream_is_told_once_and_goes_on_and_counts_it(bundle: Bundle) -> None:
    rig = Rig(bundle)
    stream = Stream(rig)
    for seq in range(30):
        stream.send(seq, seq * 1000 / 30, {1: body(seq), 2: body(seq + 1)})
        rig.run()
    (error,) = stream.of(ErrorMessage)
    assert (error.code, error.retryable, error.seq) == ("bad_time", False, None)
    assert "milliseconds" in error.message
    assert stream.session.counts.errors == {"bad_time": 1}
    assert (stream.session.counts.refused, stream.session.counts.stepped) == (0, 30)
    assert len(stream.of(Prediction)) == 60
    assert not stream.session.closed


def test_a_stream_whose_clock_stands_still_is_told(bundle: Bundle) -> None:
    rig = Rig(bundle)
    stream = Stream(rig)
    for seq in range(204):
        stream.send(seq, 3.0)
        rig.run()
    assert [error.code for error in stream.of(ErrorMessage)] == ["bad_time"]
    assert np.isclose(stream.predictions[-1].pts_s, 3.0)
