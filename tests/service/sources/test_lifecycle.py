from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inkling.service.sources.lifecycle import (
    FINAL,
    HOPELESS,
    HOPELESS_HERE,
    Action,
    Cause,
    SourceLifecycle,
    SourceState,
    SourceTiming,
)

TIMING = SourceTiming(open_s=10, stall_s=3, read_s=10, first_retry_s=1, retry_s=30, steady_s=10)


def machine(now_s: float = 0.0, *, local: bool = False) -> SourceLifecycle:
    made = SourceLifecycle(TIMING, now_s, local=local)
    made.connect(now_s)
    return made


def test_a_new_source_is_due_to_connect() -> None:
    made = SourceLifecycle(TIMING, 5.0)
    assert made.tick(5.0) is Action.CONNECT
    made.connect(5.0)
    assert (made.state, made.deadline_s) == (SourceState.CONNECTING, 15.0)


def test_the_first_frame_makes_it_live() -> None:
    source = machine()
    source.opened(1.0)
    assert source.state is SourceState.CONNECTING
    source.frame(2.0)
    assert (source.state, source.since_s, source.cause, source.deadline_s) == (SourceState.LIVE, 2.0, None, 5.0)


def test_a_connect_that_hangs_is_dropped_and_tried_again() -> None:
    source = machine()
    assert source.tick(9.9) is Action.NOTHING
    assert source.tick(10.0) is Action.DROP
    assert (source.state, source.cause, source.deadline_s) == (SourceState.RETRYING, Cause.TIMEOUT, 11.0)
    assert source.tick(10.9) is Action.NOTHING
    assert source.tick(11.0) is Action.CONNECT


def test_a_camera_that_answers_and_sends_nothing_is_dropped() -> None:
    source = machine()
    source.opened(9.0)
    assert source.tick(18.9) is Action.NOTHING
    assert source.tick(19.0) is Action.DROP


def test_a_recording_that_is_fetched_first_says_so_and_is_given_time() -> None:
    source = machine()
    for now_s in (9.0, 18.0, 27.0):
        source.opened(now_s, f"{now_s:g} MB")
        assert (source.state, source.message) == (SourceState.CONNECTING, f"{now_s:g} MB")
    assert source.tick(36.9) is Action.NOTHING
    source.frame(36.9)
    assert source.message == ""


def test_where_frames_are_far_apart_none_is_missed_before_it_is_due() -> None:
    source = SourceLifecycle(TIMING.later(20.0), 0.0)
    source.connect(0.0)
    source.frame(1.0)
    states = []
    for now_s in (23.9, 24.0):
        assert source.tick(now_s) is Action.NOTHING
        states.append(source.state)
    assert states == [SourceState.LIVE, SourceState.STALLED]
    assert source.tick(31.0) is Action.DROP
    assert TIMING.later(0.0) == TIMING


def test_a_camera_that_freezes_is_stalled_then_dropped() -> None:
    source = machine()
    source.frame(1.0)
    assert source.tick(4.0) is Action.NOTHING
    assert (source.state, source.cause, source.deadline_s) == (SourceState.STALLED, Cause.NO_FRAMES, 11.0)
    assert source.tick(11.0) is Action.DROP
    assert (source.state, source.cause) == (SourceState.RETRYING, Cause.NO_FRAMES)


def test_a_source_that_is_never_shown_as_stalled_is_dropped_all_the_same() -> None:
    source = SourceLifecycle(SourceTiming(stall_s=60, read_s=5), 0.0)
    source.connect(0.0)
    source.frame(1.0)
    assert source.tick(5.9) is Action.NOTHING
    assert source.tick(6.0) is Action.DROP
    assert source.cause is Cause.NO_FRAMES


def test_a_frame_ends_a_stall() -> None:
    source = machine()
    source.frame(1.0)
    source.tick(4.0)
    source.frame(5.0)
    assert (source.state, source.cause, source.message, source.deadline_s) == (SourceState.LIVE, None, "", 8.0)


def test_waits_double_up_to_the_longest() -> None:
    source = machine()
    waits, now_s = [], 0.0
    for _ in range(8):
        source.lost(Cause.UNREACHABLE, "", now_s)
        assert source.deadline_s is not None
        waits.append(source.deadline_s - now_s)
        now_s = source.deadline_s
        source.connect(now_s)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_chance_shortens_a_wait_by_up_to_half() -> None:
    source = machine()
    source.lost(Cause.UNREACHABLE, "", 0.0, 0.0)
    assert source.deadline_s == 0.5


def test_a_connection_that_was_steady_starts_the_waits_anew() -> None:
    source, now_s = machine(), 0.0
    for _ in range(5):
        source.lost(Cause.CLOSED, "", now_s)
        source.connect(now_s)
    source.frame(now_s)
    source.frame(now_s + 9.9)
    source.lost(Cause.CLOSED, "", now_s + 9.9)
    assert source.failures == 6  # it came and went: no reason for haste
    source.connect(20.0)
    source.frame(20.0)
    source.lost(Cause.CLOSED, "", 30.0)
    assert (source.failures, source.deadline_s) == (1, 31.0)


def test_while_it_tries_again_the_last_cause_is_told() -> None:
    source = machine()
    source.lost(Cause.UNREACHABLE, "connection refused", 0.0)
    source.connect(1.0)
    assert (source.state, source.cause, source.message) == (
        SourceState.CONNECTING,
        Cause.UNREACHABLE,
        "connection refused",
    )


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("local", [False, True])
def test_hopeless_causes_end_it_and_others_do_not(cause: Cause, local: bool) -> None:
    source = machine(local=local)
    source.lost(cause, "why", 1.0)
    hopeless = cause in (HOPELESS_HERE if local else HOPELESS)
    assert source.state is (SourceState.FAILED if hopeless else SourceState.RETRYING)
    assert (source.cause, source.message, source.deadline_s is None) == (cause, "why", hopeless)


def test_a_looping_file_whose_process_dies_is_begun_again_once_it_was_live() -> None:
    life = SourceLifecycle(TIMING, 0.0, local=True, loops=True)
    life.connect(0.0)
    life.frame(0.1)
    life.lost(Cause.CRASHED, "killed", 0.2)
    assert life.state is SourceState.RETRYING


def test_a_looping_file_that_kills_its_process_at_once_has_failed() -> None:
    life = SourceLifecycle(TIMING, 0.0, local=True, loops=True)
    life.connect(0.0)
    life.lost(Cause.CRASHED, "it kills every process", 0.1)
    assert life.state is SourceState.FAILED


def test_a_file_that_was_played_has_ended() -> None:
    source = machine(local=True)
    source.frame(1.0)
    source.finish(2.0)
    assert (source.state, source.cause, source.deadline_s) == (SourceState.ENDED, Cause.FINISHED, None)
    assert source.tick(1e9) is Action.NOTHING


@pytest.mark.parametrize("step", ["connect", "opened", "frame", "finish"])
def test_steps_that_cannot_be_are_refused(step: str) -> None:
    source = machine()
    source.remove(0.0)
    with pytest.raises(ValueError, match="ended"):
        getattr(source, step)(1.0)


class Life(RuleBasedStateMachine):
    """Any course of events, with time going on."""

    @initialize(local=st.booleans())
    def begin(self, local: bool) -> None:
        self.now_s = 0.0
        self.source = SourceLifecycle(TIMING, 0.0, local=local)

    @rule(step_s=st.floats(0, 40))
    def wait(self, step_s: float) -> None:
        self.now_s += step_s

    @rule(chance=st.floats(0, 1, exclude_max=True))
    def tick(self, chance: float) -> None:
        before, due = self.source.state, self.source.deadline_s
        do = self.source.tick(self.now_s, chance)
        if due is None or self.now_s < due:
            assert (do, self.source.state) == (Action.NOTHING, before)
        elif before is SourceState.RETRYING:
            assert do is Action.CONNECT
            self.source.connect(self.now_s)
        else:  # time has changed something: it never hangs
            assert self.source.state is not before
            assert (do is Action.DROP) == (self.source.state is SourceState.RETRYING)

    @precondition(lambda self: self.source.state is SourceState.CONNECTING)
    @rule()
    def open(self) -> None:
        self.source.opened(self.now_s)

    @precondition(lambda self: self.source.state in (SourceState.CONNECTING, SourceState.LIVE, SourceState.STALLED))
    @rule()
    def frame(self) -> None:
        self.source.frame(self.now_s)
        assert self.source.state is SourceState.LIVE

    @precondition(lambda self: self.source.state in (SourceState.CONNECTING, SourceState.LIVE, SourceState.STALLED))
    @rule(cause=st.sampled_from(Cause), chance=st.floats(0, 1, exclude_max=True))
    def lose(self, cause: Cause, chance: float) -> None:
        self.source.lost(cause, "", self.now_s, chance)
        if self.source.state is SourceState.RETRYING:
            assert self.source.deadline_s is not None
            assert 0.5 <= self.source.deadline_s - self.now_s <= 30 + 1e-9 * self.now_s

    @precondition(lambda self: self.source.state in (SourceState.CONNECTING, SourceState.LIVE, SourceState.STALLED))
    @rule()
    def finish(self) -> None:
        self.source.finish(self.now_s)

    @rule()
    def remove(self) -> None:
        self.source.remove(self.now_s)

    @invariant()
    def what_is_not_final_is_due_some_time(self) -> None:
        source = self.source
        assert (source.deadline_s is None) == source.final == (source.state in FINAL)
        assert source.since_s <= self.now_s
        assert (source.cause is None) <= (
            source.state in (SourceState.LIVE, SourceState.CONNECTING, SourceState.RETRYING)
        )
        assert source.state is not SourceState.LIVE or source.cause is None


TestLife = Life.TestCase
