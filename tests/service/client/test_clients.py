"""What a program may rely on, of the blocking and of the async client alike."""

from __future__ import annotations

import contextlib
import socket as sockets

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection

from inkling.client import ClientError, ConnectionLost, RemoteError, Stream, Unreachable
from inkling.service.protocol.codec import End, Event, PackedPose, Reset, Start, error_message
from inkling.service.protocol.errors import NoSlot, OverCapacity
from tests.service.client.conftest import MakeClient
from tests.service.client.peer import LABELS, Peer, answering, listening, ready, say

BODY = np.ones((17, 3), np.float32)
ANSWER = {
    "bundle": "body-actions",
    "version": "2",
    "labels": list(LABELS),
    "rate_hz": 15.0,
    "timeline": [{"pts_s": 0.5, "track": 1, "probabilities": [0.75, 0.25], "epoch": 0}],
    "warnings": ["a joint is missing"],
}


def test_every_frame_is_answered_in_order_and_the_end_brings_the_summary(client: MakeClient) -> None:
    peer = Peer(credits=3)
    with listening(peer) as url, client(url).stream(skeleton="coco17", width=640, height=480) as stream:
        heard = list(stream.play((frame / 30, BODY * frame) for frame in range(20)))
        assert stream.ready.bundle == "body-actions"
        assert stream.labels == LABELS
    assert [prediction.seq for prediction in heard] == list(range(20))
    assert [prediction.pts_s for prediction in heard] == pytest.approx(np.arange(20) / 30)
    assert stream.summary is not None
    assert stream.summary.received == 20
    assert peer.seen[0] == Start(bundle="body-actions", skeleton="coco17", width=640, height=480)
    assert peer.paths == ["/v1/stream"]


def test_sending_waits_for_credits_and_skipped_frames_give_them_back(client: MakeClient) -> None:
    peer = Peer(credits=4, skip_odd=True)
    with listening(peer) as url, client(url).stream() as stream:
        for frame in range(24):
            stream.send(BODY, frame / 30)
        heard = list(stream.finish())
    assert [prediction.seq for prediction in heard] == list(range(0, 24, 2))


def test_flush_yields_everything_sent_so_far_and_the_stream_goes_on(client: MakeClient) -> None:
    with listening(Peer()) as url, client(url).stream() as stream:
        stream.send({1: BODY, 5: BODY}, 0.0)
        assert [prediction.track for prediction in stream.flush()] == [1, 5]
        stream.send(BODY, 0.1)
        assert [prediction.seq for prediction in stream.flush()] == [1]


def test_received_never_waits_for_what_has_not_come(client: MakeClient) -> None:
    with listening(Peer()) as url, client(url).stream() as stream:
        assert list(stream.received()) == []


def test_received_waits_for_the_first_prediction_when_it_may(client: MakeClient) -> None:
    with listening(Peer()) as url, client(url).stream() as stream:
        stream.send(BODY)
        assert next(iter(stream.received(wait_s=20))).seq == 0
        assert stream.latency_s is not None
        assert 0 < stream.latency_s < 20


def test_events_and_survived_errors_reach_their_callbacks(client: MakeClient) -> None:
    class Full(Peer):
        def answer(self, socket: ServerConnection, message: object) -> bool:
            if isinstance(message, PackedPose) and message.seq == 1:
                say(socket, error_message(NoSlot("full"), message.seq))
                return True
            return super().answer(socket, message)

    events: list[Event] = []
    errors: list[RemoteError] = []
    with listening(Full()) as url, client(url).stream(on_event=events.append, on_error=errors.append) as stream:
        heard = list(stream.play((None, BODY) for _ in range(4)))
    assert [prediction.seq for prediction in heard] == [0, 2, 3]
    assert [(event.label, event.phase) for event in events] == [("jumping_jacks", "begin")]
    assert [error.code for error in errors] == ["no_slot"]


def test_leaving_the_block_ends_the_stream_in_order(client: MakeClient) -> None:
    peer = Peer()
    with listening(peer) as url, client(url).stream() as stream:
        stream.send(BODY)
        stream.reset(1)
    assert peer.seen[-2:] == [Reset(track=1), End()]
    assert stream.summary is not None


def test_an_exception_in_the_block_closes_without_ending(client: MakeClient) -> None:
    peer = Peer()

    def fail(stream: Stream) -> None:
        with stream:
            stream.send(BODY)
            raise KeyError

    with listening(peer) as url:
        stream = client(url).stream()
        with pytest.raises(KeyError):
            fail(stream)
    assert stream.summary is None
    assert End() not in peer.seen


def test_a_refused_stream_raises_the_servers_reason(client: MakeClient) -> None:
    def refuse(socket: ServerConnection) -> None:
        socket.recv()
        say(socket, error_message(OverCapacity("256 streams are open")))
        socket.close(1013)

    with listening(refuse) as url, pytest.raises(RemoteError, match="256 streams") as caught:
        client(url).stream()
    assert caught.value.code == "over_capacity"
    assert caught.value.retryable


def test_a_server_that_vanishes_is_a_lost_connection_also_for_the_sender(client: MakeClient) -> None:
    def vanish(socket: ServerConnection) -> None:
        socket.recv()
        say(socket, ready())
        socket.recv()
        socket.close(1011)

    with listening(vanish) as url, contextlib.closing(client(url).stream()) as stream:
        stream.send(BODY)
        with pytest.raises(ConnectionLost, match="1011"):
            list(stream.received(wait_s=20))
        with pytest.raises(ConnectionLost, match="1011"):
            stream.send(BODY)


def test_a_server_that_is_silent_is_not_waited_for_for_ever(client: MakeClient) -> None:
    def mute(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            for _ in socket:
                pass

    with listening(mute) as url, pytest.raises(ConnectionLost, match=r"not answered for 0\.2 s"):
        client(url, timeout_s=0.2).stream()


def test_nobody_at_the_address_is_one_sentence_with_the_way_out(client: MakeClient) -> None:
    with sockets.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(Unreachable, match=rf"no Inkling server answers at {url} \([A-Z].*inkling serve"):
        client(url).stream()
    with pytest.raises(Unreachable, match="inkling serve"):
        client(url).score(BODY[None])


def test_a_web_server_that_is_no_inkling_is_unreachable(client: MakeClient) -> None:
    with answering(200, b"hello") as (url, _), pytest.raises(Unreachable, match="inkling serve"):
        client(url).stream()


@pytest.mark.parametrize("scheme", ["", "http://", "ws://"])
def test_an_address_may_have_any_of_the_schemes_and_a_path(client: MakeClient, scheme: str) -> None:
    peer = Peer()
    with listening(peer) as url, client(scheme + url.removeprefix("http://") + "/behind/proxy/").stream():
        pass
    assert peer.paths == ["/behind/proxy/v1/stream"]


@pytest.mark.parametrize("url", ["ftp://here", "http://", ""])
def test_what_is_no_address_is_refused(client: MakeClient, url: str) -> None:
    with pytest.raises(ClientError, match="not the address"):
        client(url)


def test_an_option_that_the_protocol_does_not_have_is_refused_before_connecting(client: MakeClient) -> None:
    with pytest.raises(ClientError, match="top_k"):
        client().stream(top_k=0)


def test_a_clip_is_posted_and_its_timeline_read(client: MakeClient) -> None:
    with answering(200, ANSWER) as (url, posted):
        timeline = client(url).score(np.ones((3, 17, 3)), skeleton="coco17", fps=25)
    assert posted.path == "/v1/clips?bundle=body-actions&skeleton=coco17&fps=25"
    assert posted.kind == "application/json"
    assert timeline.labels == LABELS
    assert timeline.warnings == ("a joint is missing",)
    assert timeline.tracks == [1]


def test_a_refused_clip_raises_the_servers_reason(client: MakeClient) -> None:
    answer = {"code": "bad_clip", "message": "the clip has no frames", "retryable": False}
    with answering(422, answer) as (url, _), pytest.raises(RemoteError, match="no frames") as caught:
        client(url).score(np.ones((3, 17, 3)))
    assert (caught.value.code, caught.value.retryable) == ("bad_clip", False)


def test_the_protocols_messages_are_what_the_peer_reads(client: MakeClient) -> None:
    peer = Peer()
    with listening(peer) as url, client(url).stream(policy="block", top_k=2, version="1") as stream:
        stream.send(BODY * 3, 1.5)
    start, frame = peer.seen[:2]
    assert (start.policy, start.top_k, start.version) == ("block", 2, "1")
    assert isinstance(frame, PackedPose)
    assert frame.pts_s == 1.5
    np.testing.assert_array_equal(frame.keypoints[0], BODY * 3)
