from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from inkling.service.client.errors import (
    BadArgument,
    CallbackError,
    ClientError,
    ConnectionLost,
    RemoteError,
    Unreachable,
)
from inkling.service.client.people import People, pack_people
from inkling.service.client.reconnect import Backoff, Reconnect, Reconnection
from inkling.service.client.stream_state import PING, Callbacks, ClientStream
from inkling.service.protocol.codec import (
    Credit,
    End,
    Event,
    Flush,
    Flushed,
    Message,
    PackedPose,
    Reset,
    Start,
    decode,
    encode,
    error_message,
)
from inkling.service.protocol.errors import (
    Draining,
    IdleTimeout,
    NoSlot,
    OverCapacity,
    ServiceError,
    SlowReader,
    UnknownBundle,
)
from tests.service.client.peer import event, prediction, ready, summary

BODY = np.ones((17, 3), np.float32)


def open_stream(credits: int = 4, callbacks: Callbacks = Callbacks(), **given: Any) -> ClientStream:  # noqa: B008
    core = ClientStream(Start(bundle="body-actions", skeleton="coco17"), callbacks, **given)
    connect(core)
    hear(core, ready(credits))
    core.take_outgoing()
    return core


def connect(core: ClientStream, now_s: float = 0.0) -> None:
    core.connecting(now_s)
    core.connected(now_s)


def patient(tries: int = 3) -> Backoff:
    """Tries again after 1, 2, 4 seconds."""
    return Backoff(Reconnect(first_s=1.0, most_s=60.0, tries=tries), lambda: 0.0)


def send(core: ClientStream, people: People = BODY, pts_s: float | None = None, now_s: float = 0.0) -> int:
    return core.pose(pack_people(people), pts_s, now_s)


def said(core: ClientStream) -> list[object]:
    """What the client wants to be sent, decoded."""
    return [message if message is PING else decode(message) for message in core.take_outgoing()]  # type: ignore[arg-type]


def told(core: ClientStream) -> None:
    """Call the callbacks that are due."""
    for _, call in core.take_calls():
        call()


def hear(core: ClientStream, message: Message, now_s: float = 0.0) -> None:
    core.receive(encode(message), now_s)


def predict(core: ClientStream, seq: int, track: int = 1, now_s: float = 0.0) -> None:
    hear(core, prediction(seq, seq / 30, track, BODY), now_s)


def test_the_first_message_is_the_start_that_was_asked_for() -> None:
    start = Start(bundle="b", skeleton="coco17", width=640, top_k=3)
    core = ClientStream(start)
    connect(core, 0.0)
    assert said(core) == [start]


def test_nothing_may_be_sent_before_ready() -> None:
    core = ClientStream(Start(bundle="b"))
    assert core.room == 0
    with pytest.raises(ClientError, match="opening"):
        send(core, BODY, 0.0)


def test_frames_are_numbered_and_carry_people_by_track_and_time() -> None:
    core = open_stream()
    assert send(core, BODY, 0.5) == 0
    seq = send(core, {7: BODY, 3: BODY * 2})
    first, frame = said(core)
    assert isinstance(first, PackedPose)
    assert (first.seq, first.pts_s, list(first.tracks)) == (0, 0.5, [1])
    assert isinstance(frame, PackedPose)
    assert (seq, frame.seq, frame.pts_s, list(frame.tracks)) == (1, 1, None, [7, 3])
    np.testing.assert_array_equal(frame.keypoints, np.stack([BODY, BODY * 2]))


def test_a_frame_without_anybody_can_be_sent() -> None:
    core = open_stream()
    send(core, {}, 1.0)
    (frame,) = said(core)
    assert isinstance(frame, PackedPose)
    assert len(frame.tracks) == 0


def test_a_prediction_settles_every_frame_up_to_its_own() -> None:
    core = open_stream(credits=3)
    for _ in range(3):
        send(core)
    assert core.room == 0
    predict(core, 1)
    assert core.room == 2


def test_a_credit_settles_without_a_prediction() -> None:
    core = open_stream(credits=2)
    send(core)
    send(core)
    hear(core, Credit(seq=1, skipped=2, dropped=0))
    assert core.room == 2
    assert core.take() is None


def test_a_late_answer_does_not_take_room_back() -> None:
    core = open_stream(credits=4)
    for _ in range(4):
        send(core)
    predict(core, 2)
    predict(core, 0, track=2)
    assert core.room == 3


def test_an_answer_to_a_frame_that_was_never_sent_gives_no_room_beyond_the_credits() -> None:
    core = open_stream(credits=2)
    predict(core, 99)
    assert core.room == 2
    send(core)
    assert core.room == 1


def test_latency_runs_from_sending_a_frame_to_each_of_its_predictions() -> None:
    core = open_stream()
    send(core, {1: BODY, 2: BODY}, now_s=10.0)
    predict(core, 0, track=1, now_s=10.25)
    assert core.latency_s == pytest.approx(0.25)
    predict(core, 0, track=2, now_s=10.5)
    assert core.latency_s == pytest.approx(0.5)


def test_predictions_are_taken_in_the_order_they_came() -> None:
    core = open_stream()
    predict(core, 0)
    predict(core, 1)
    assert [core.take().seq, core.take().seq] == [0, 1]  # type: ignore[union-attr]
    assert core.take() is None


def test_events_go_to_their_callback() -> None:
    heard: list[Event] = []
    core = open_stream(callbacks=Callbacks(event=heard.append))
    hear(core, event(2))
    told(core)
    assert heard == [event(2)]
    assert core.take() is None


def test_a_marker_is_flushed_when_the_server_says_so_and_settles_what_came_before() -> None:
    core = open_stream(credits=4)
    send(core)
    send(core)
    core.take_outgoing()
    marker = core.flush(0.0)
    assert said(core) == [Flush(id=marker)]
    send(core)
    assert (core.flushed(marker), core.owed) == (False, True)
    hear(core, Flushed(id=marker))
    assert (core.flushed(marker), core.owed) == (True, False)
    assert core.room == 3


def test_a_reset_and_an_end_are_the_protocols_own() -> None:
    core = open_stream()
    core.reset(3, 0.0)
    core.end(0.0)
    assert said(core) == [Reset(track=3), End()]
    with pytest.raises(ClientError, match="ending"):
        send(core)


def test_the_summary_finishes_the_stream_and_the_close_that_follows_is_in_order() -> None:
    core = open_stream()
    core.end(0.0)
    hear(core, summary(5))
    core.disconnected(1000, 0.0)
    assert core.finished
    assert core.failure is None
    assert core.summary == summary(5)


def test_a_refusal_that_the_stream_survives_is_raised_in_its_turn_and_settles_its_frame() -> None:
    core = open_stream(credits=2)
    send(core)
    send(core)
    predict(core, 0)
    hear(core, error_message(NoSlot("the pool is full"), seq=1))
    predict(core, 2)
    assert core.room == 2
    assert core.take().seq == 0  # type: ignore[union-attr]
    with pytest.raises(RemoteError, match="the pool is full") as caught:
        core.take()
    assert (caught.value.code, caught.value.retryable, caught.value.fatal, caught.value.seq) == (
        "no_slot",
        True,
        False,
        1,
    )
    assert core.take().seq == 2  # type: ignore[union-attr]
    send(core)


def test_a_refusal_that_the_stream_survives_goes_to_the_callback_instead() -> None:
    heard: list[RemoteError] = []
    core = open_stream(callbacks=Callbacks(error=heard.append))
    hear(core, error_message(NoSlot("full")))
    told(core)
    assert [error.code for error in heard] == ["no_slot"]
    assert core.take() is None


def test_a_fatal_error_stops_sending_at_once_but_what_was_answered_can_still_be_taken() -> None:
    core = open_stream()
    predict(core, 0)
    hear(core, error_message(Draining("the server is shutting down")))
    with pytest.raises(RemoteError, match="draining"):
        send(core)
    core.disconnected(1012, 0.0)
    assert core.take().seq == 0  # type: ignore[union-attr]
    with pytest.raises(RemoteError, match="draining"):
        core.take()


def test_draining_does_not_fail_a_stream_that_ends_anyway() -> None:
    core = open_stream()
    core.end(0.0)
    hear(core, error_message(Draining("the server is shutting down")))
    hear(core, summary())
    core.disconnected(1012, 0.0)
    assert core.take() is None
    assert core.state == "over"


def test_a_refused_start_fails_with_the_servers_reason() -> None:
    core = ClientStream(Start(bundle="b"))
    connect(core, 0.0)
    hear(core, error_message(OverCapacity("256 streams are open")))
    core.disconnected(1013, 0.0)
    with pytest.raises(RemoteError) as caught:
        core.check()
    assert caught.value.fatal
    assert caught.value.retryable


@pytest.mark.parametrize(("code", "words"), [(1011, "close code 1011"), (None, "without a close")])
def test_a_connection_that_ends_before_the_summary_is_lost(code: int | None, words: str) -> None:
    core = open_stream()
    core.disconnected(code, 0.0)
    with pytest.raises(ConnectionLost, match=words) as caught:
        core.take()
    assert caught.value.close == code


@pytest.mark.parametrize("data", ["", "{", '{"type":"sonnet"}', '{"type":"prediction"}', b"\x00"])
def test_what_is_no_message_of_this_protocol_is_an_error_of_the_client(data: str | bytes) -> None:
    core = open_stream()
    core.receive(data, 0.0)
    with pytest.raises(ClientError, match="does not know") as caught:
        core.take()
    assert not caught.value.retryable


# -- callbacks ----------------------------------------------------------------------------------------------------
def test_predictions_go_to_their_callback_and_are_not_kept() -> None:
    heard: list[int] = []
    core = open_stream(callbacks=Callbacks(prediction=lambda one: heard.append(one.seq)))
    send(core)
    predict(core, 0)
    told(core)
    assert heard == [0]
    assert core.waiting == 0
    assert core.room == 4


def test_a_callback_that_raises_ends_the_stream_with_its_error_as_the_cause() -> None:
    core = open_stream()
    cause = KeyError("mine")
    core.callback_failed("event", cause)
    with pytest.raises(CallbackError, match="on_event raised KeyError") as caught:
        send(core)
    assert caught.value.__cause__ is cause


def test_a_track_that_is_none_cannot_be_reset() -> None:
    with pytest.raises(BadArgument, match="track"):
        open_stream().reset(2**64, 0.0)


# -- silence ------------------------------------------------------------------------------------------------------
def test_a_silence_brings_pings_and_then_the_loss_of_the_connection() -> None:
    core = open_stream(timeout_s=30.0)
    assert core.tick(9.0) == 10.0
    assert core.tick(10.0) == 20.0
    assert said(core) == [PING]
    core.pong(10.5)
    assert core.tick(20.5) == pytest.approx(30.5)
    assert said(core) == [PING]
    core.tick(40.0)
    assert core.state == "open"
    core.tick(40.5)
    with pytest.raises(ConnectionLost, match="been silent for 30 s"):
        core.reset(None, 41.0)


def test_an_answer_that_is_owed_must_come_although_the_server_lives() -> None:
    core = open_stream(timeout_s=30.0)
    core.flush(100.0)
    for second in range(101, 130):
        core.pong(second)
        core.tick(second)
    assert core.state == "open"
    core.pong(130.0)
    core.tick(130.0)
    with pytest.raises(ConnectionLost, match="not answered for 30 s"):
        core.take()


def test_a_busy_server_whose_answers_come_late_is_not_lost() -> None:
    core = open_stream(credits=1, timeout_s=30.0)
    for frame in range(10):
        send(core, now_s=29.0 * frame)
        core.tick(29.0 * frame + 28.0)
        predict(core, frame, now_s=29.0 * frame + 28.5)
    assert core.state == "open"


def test_a_silent_program_keeps_its_stream_from_being_idle_only_if_it_wants_to() -> None:
    core = open_stream(keep_alive_s=5.0)
    core.tick(4.9)
    assert said(core) == []
    assert core.tick(5.0) == 10.0
    assert said(core) == [Flush(id=1)]
    hear(core, Flushed(id=1), 5.1)
    send(core, now_s=7.0)
    core.take_outgoing()
    assert core.tick(10.0) == 12.0
    assert said(core) == []


# -- opening it again ---------------------------------------------------------------------------------------------
def test_a_lost_stream_is_opened_again_and_says_what_was_lost() -> None:
    heard: list[Reconnection] = []
    core = open_stream(backoff=patient(), callbacks=Callbacks(reconnect=heard.append))
    for _ in range(3):
        send(core)
    predict(core, 0)
    marker = core.flush(5.0)
    core.disconnected(1006, 6.0)
    assert (core.state, core.retry_s, core.room, core.connected_now) == ("lost", 7.0, 0, False)
    assert core.flushed(marker), "what was lost is not waited for"
    core.connecting(7.0)
    core.unreachable(Unreachable("nobody"), 7.5)
    assert core.retry_s == 9.5
    connect(core, 9.6)
    assert said(core) == [Start(bundle="body-actions", skeleton="coco17")]
    hear(core, ready(2), 10.0)
    told(core)
    (about,) = heard
    assert isinstance(about.reason, ConnectionLost)
    assert (list(about.unanswered), about.down_s, about.tries) == ([1, 2], 4.0, 2)
    assert core.reconnections == 1
    assert core.room == 2
    assert send(core) == 3
    assert core.take() is not None
    assert core.take() is None


def test_waiting_messages_of_a_lost_connection_are_not_sent_on_the_next() -> None:
    core = open_stream(backoff=patient())
    send(core)
    core.reset(1, 0.0)
    core.disconnected(None, 1.0)
    core.reset(2, 1.5)
    connect(core, 2.0)
    assert [type(message) for message in said(core)] == [Start]


@pytest.mark.parametrize("error", [Draining("bye"), OverCapacity("full"), SlowReader("read"), IdleTimeout("silent")])
def test_an_error_that_is_retryable_opens_the_stream_again(error: ServiceError) -> None:
    core = open_stream(backoff=patient())
    hear(core, error_message(error))
    assert (core.state, core.room) == ("open", 0)
    core.disconnected(error.close, 1.0)
    assert (core.state, core.failure) == ("lost", None)


def test_an_error_that_is_not_retryable_ends_the_stream() -> None:
    core = open_stream(backoff=patient())
    core.disconnected(1006, 1.0)
    connect(core, 2.0)
    hear(core, error_message(UnknownBundle("there is none")))
    core.disconnected(4404, 2.0)
    with pytest.raises(RemoteError, match="unknown_bundle"):
        core.take()


def test_the_last_try_fails_with_its_own_reason() -> None:
    core = open_stream(backoff=patient(tries=2))
    core.disconnected(1006, 0.0)
    for _ in range(2):
        assert core.state == "lost"
        core.connecting(0.0)
        core.unreachable(Unreachable("nobody"), 0.0)
    with pytest.raises(Unreachable):
        core.take()


def test_tries_begin_anew_only_when_a_frame_was_answered() -> None:
    core = open_stream(backoff=patient())
    for _, due_s in enumerate((1.0, 2.0)):
        core.disconnected(1006, 0.0)
        assert core.retry_s == due_s
        connect(core, 0.0)
        hear(core, ready())
    predict(core, send(core))
    core.disconnected(1006, 0.0)
    assert core.retry_s == 1.0


def test_the_first_opening_is_tried_again_too_without_a_word_of_loss() -> None:
    heard: list[Reconnection] = []
    core = ClientStream(Start(bundle="b"), Callbacks(reconnect=heard.append), backoff=patient())
    core.unreachable(Unreachable("nobody"), 0.0)
    assert core.state == "lost"
    connect(core, 1.0)
    hear(core, ready())
    told(core)
    assert (core.state, heard) == ("open", [])


def test_an_address_where_no_server_can_be_is_not_tried_again() -> None:
    core = ClientStream(Start(bundle="b"), backoff=patient())
    core.unreachable(Unreachable("a web page", retryable=False), 0.0)
    assert core.state == "failed"


def test_a_stream_that_was_ending_is_not_opened_again() -> None:
    core = open_stream(backoff=patient())
    core.end(0.0)
    core.disconnected(1006, 1.0)
    with pytest.raises(ConnectionLost):
        core.take()


def test_an_end_while_the_stream_is_lost_ends_it_once_it_is_open() -> None:
    core = open_stream(backoff=patient())
    core.disconnected(1006, 1.0)
    core.end(1.5)
    connect(core, 2.0)
    core.take_outgoing()
    hear(core, ready())
    assert said(core) == [End()]
    with pytest.raises(ClientError, match="ending"):
        send(core)


class Bookkeeping(RuleBasedStateMachine):
    """Whatever the server answers, the room is what a plain count of unsettled frames says."""

    @initialize(credits=st.integers(1, 9))
    def admitted(self, credits: int) -> None:
        self.credits = credits
        self.core = open_stream(credits)
        self.unsettled: set[int] = set()
        self.sent = 0

    @precondition(lambda self: self.core.room > 0)
    @rule()
    def send(self) -> None:
        seq = send(self.core, now_s=float(self.sent))
        assert seq == self.sent
        self.unsettled.add(seq)
        self.sent += 1

    @precondition(lambda self: self.sent > 0)
    @rule(data=st.data(), answer=st.sampled_from([predict, "credit", "error"]))
    def settle(self, data: st.DataObject, answer: Callable[..., None] | str) -> None:
        seq = data.draw(st.integers(0, self.sent - 1))
        if answer == "credit":
            hear(self.core, Credit(seq=seq, skipped=0, dropped=0))
        elif answer == "error":
            hear(self.core, error_message(NoSlot("full"), seq))
        else:
            predict(self.core, seq)
        self.unsettled = {sent for sent in self.unsettled if sent > seq}

    @invariant()
    def room_is_what_is_left_of_the_credits(self) -> None:
        if hasattr(self, "core"):
            assert self.core.room == self.credits - len(self.unsettled)
            assert self.core.owed == (self.core.room == 0)


TestBookkeeping = Bookkeeping.TestCase
