from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.frames import Close

from inkling.service.client.stream_state import ClientError, ClientStream, ConnectionLost, RemoteError, pack_people
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
from inkling.service.protocol.errors import Draining, NoSlot, OverCapacity
from tests.service.client.peer import event, prediction, ready, summary

BODY = np.ones((17, 3), np.float32)


def open_stream(credits: int = 4) -> ClientStream:
    core = ClientStream(Start(bundle="body-actions", skeleton="coco17"))
    hear(core, ready(credits))
    return core


def hear(core: ClientStream, message: Message, now_s: float = 0.0) -> None:
    core.receive(encode(message), now_s)


def predict(core: ClientStream, seq: int, track: int = 1, now_s: float = 0.0) -> None:
    hear(core, prediction(seq, seq / 30, track, BODY), now_s)


def test_the_first_message_is_the_start_that_was_asked_for() -> None:
    start = Start(bundle="b", skeleton="coco17", width=640, top_k=3)
    assert decode(ClientStream(start).start()) == start


def test_nothing_may_be_sent_before_ready() -> None:
    core = ClientStream(Start(bundle="b"))
    assert core.room == 0
    with pytest.raises(ClientError, match="opening"):
        core.pose(BODY, 0.0, 0.0)


def test_frames_are_numbered_and_carry_people_by_track_and_time() -> None:
    core = open_stream()
    assert core.pose(BODY, 0.5, 0.0)[0] == 0
    seq, data = core.pose({7: BODY, 3: BODY * 2}, None, 0.0)
    frame = decode(data)
    assert isinstance(frame, PackedPose)
    assert (seq, frame.seq, frame.pts_s, list(frame.tracks)) == (1, 1, None, [7, 3])
    np.testing.assert_array_equal(frame.keypoints, np.stack([BODY, BODY * 2]))


def test_a_frame_without_anybody_can_be_packed() -> None:
    frame = decode(open_stream().pose({}, 1.0, 0.0)[1])
    assert isinstance(frame, PackedPose)
    assert len(frame.tracks) == 0


def test_a_joint_with_a_nan_is_missing_and_the_given_array_is_left_alone() -> None:
    body = BODY.copy()
    body[3, 1] = np.nan
    _, keypoints = pack_people(body)
    np.testing.assert_array_equal(keypoints[0, 3], 0)
    np.testing.assert_array_equal(keypoints[0, 4], BODY[4])
    assert np.isnan(body[3, 1])


@pytest.mark.parametrize("people", [np.ones(17), np.ones((2, 17, 3)), {1: np.ones((17, 3)), 2: np.ones((13, 3))}])
def test_people_that_are_no_poses_are_refused_before_they_are_sent(people: object) -> None:
    core = open_stream()
    with pytest.raises(ValueError, match="joints, numbers"):
        core.pose(people, 0.0, 0.0)  # type: ignore[arg-type]
    assert core.room == 4


def test_a_prediction_settles_every_frame_up_to_its_own() -> None:
    core = open_stream(credits=3)
    for _ in range(3):
        core.pose(BODY, None, 0.0)
    assert core.room == 0
    predict(core, 1)
    assert core.room == 2


def test_a_credit_settles_without_a_prediction() -> None:
    core = open_stream(credits=2)
    core.pose(BODY, None, 0.0)
    core.pose(BODY, None, 0.0)
    hear(core, Credit(seq=1, skipped=2, dropped=0))
    assert core.room == 2
    assert core.take() is None


def test_a_late_answer_does_not_take_room_back() -> None:
    core = open_stream(credits=4)
    for _ in range(4):
        core.pose(BODY, None, 0.0)
    predict(core, 2)
    predict(core, 0, track=2)
    assert core.room == 3


def test_an_answer_to_a_frame_that_was_never_sent_gives_no_room_beyond_the_credits() -> None:
    core = open_stream(credits=2)
    predict(core, 99)
    assert core.room == 2
    core.pose(BODY, None, 0.0)
    assert core.room == 1


def test_latency_runs_from_sending_a_frame_to_each_of_its_predictions() -> None:
    core = open_stream()
    core.pose({1: BODY, 2: BODY}, None, now_s=10.0)
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
    core = ClientStream(Start(bundle="b"), on_event=heard.append)
    hear(core, ready())
    hear(core, event(2))
    assert heard == [event(2)]
    assert core.take() is None


def test_a_marker_is_flushed_when_the_server_says_so_and_settles_what_came_before() -> None:
    core = open_stream(credits=4)
    core.pose(BODY, None, 0.0)
    core.pose(BODY, None, 0.0)
    marker, message = core.flush()
    core.pose(BODY, None, 0.0)
    assert decode(message) == Flush(id=marker)
    assert (core.flushed(marker), core.owed) == (False, True)
    hear(core, Flushed(id=marker))
    assert (core.flushed(marker), core.owed) == (True, False)
    assert core.room == 3


def test_a_reset_and_an_end_are_the_protocols_own() -> None:
    core = open_stream()
    assert decode(core.reset(3)) == Reset(track=3)
    assert decode(core.end()) == End()
    with pytest.raises(ClientError, match="ending"):
        core.pose(BODY, None, 0.0)


def test_the_summary_finishes_the_stream_and_the_close_that_follows_is_in_order() -> None:
    core = open_stream()
    core.end()
    hear(core, summary(5))
    core.closed(ConnectionClosedOK(Close(1000, ""), Close(1000, ""), True))
    assert core.finished
    assert core.failure is None
    assert core.summary == summary(5)


def test_a_refusal_that_the_stream_survives_is_raised_in_its_turn_and_settles_its_frame() -> None:
    core = open_stream(credits=2)
    core.pose(BODY, None, 0.0)
    core.pose(BODY, None, 0.0)
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
    core.pose(BODY, None, 0.0)


def test_a_refusal_that_the_stream_survives_goes_to_the_callback_instead() -> None:
    heard: list[RemoteError] = []
    core = ClientStream(Start(bundle="b"), on_error=heard.append)
    hear(core, ready())
    hear(core, error_message(NoSlot("full")))
    assert [error.code for error in heard] == ["no_slot"]
    assert core.take() is None


def test_a_fatal_error_stops_sending_at_once_but_what_was_answered_can_still_be_taken() -> None:
    core = open_stream()
    predict(core, 0)
    hear(core, error_message(Draining("the server is shutting down")))
    with pytest.raises(RemoteError, match="draining"):
        core.pose(BODY, None, 0.0)
    core.closed(lost(1012))
    assert core.take().seq == 0  # type: ignore[union-attr]
    with pytest.raises(RemoteError, match="draining"):
        core.take()


def test_draining_does_not_fail_a_stream_that_ends_anyway() -> None:
    core = open_stream()
    core.end()
    hear(core, error_message(Draining("the server is shutting down")))
    hear(core, summary())
    core.closed(lost(1012))
    assert core.take() is None
    assert core.state == "over"


def test_a_refused_start_fails_with_the_servers_reason() -> None:
    core = ClientStream(Start(bundle="b"))
    hear(core, error_message(OverCapacity("256 streams are open")))
    core.closed(lost(1013))
    with pytest.raises(RemoteError) as caught:
        core.check()
    assert caught.value.fatal
    assert caught.value.retryable


@pytest.mark.parametrize(("code", "words"), [(1011, "close code 1011"), (None, "without a close")])
def test_a_connection_that_ends_before_the_summary_is_lost(code: int | None, words: str) -> None:
    core = open_stream()
    core.closed(lost(code))
    with pytest.raises(ConnectionLost, match=words) as caught:
        core.take()
    assert caught.value.close == code


@pytest.mark.parametrize("data", ["", "{", '{"type":"sonnet"}', '{"type":"prediction"}', b"\x00"])
def test_what_is_no_message_of_this_protocol_is_an_error_of_the_client(data: str | bytes) -> None:
    with pytest.raises(ClientError, match="does not know"):
        open_stream().receive(data, 0.0)


def lost(code: int | None) -> ConnectionClosedError:
    return ConnectionClosedError(None if code is None else Close(code, ""), None, None)


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
        seq, _ = self.core.pose(BODY, None, float(self.sent))
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
