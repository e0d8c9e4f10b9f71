"""Connections that fail in the ways in which networks do, of the blocking and of the async client alike."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.sync.server import ServerConnection

from inkling.client import CallbackError, ClientError, ConnectionLost, Reconnect, Reconnection, RemoteError, Unreachable
from inkling.service.protocol.codec import PackedPose, Start, error_message
from inkling.service.protocol.errors import OverCapacity, SlowReader
from tests.service.client.conftest import MakeClient
from tests.service.client.peer import Peer, listening, ready, say
from tests.service.client.relay import relaying
from tests.service.conftest import WAIT_S, Running, running, tiny_settings, wait_until

BODY = np.ones((17, 3), np.float32)
JPEG = b"\xff\xd8\xff\xe0 not decoded by the peer"
QUICK = Reconnect(first_s=0.05, most_s=0.2, tries=100, give_up_s=WAIT_S)
SHORT_S = 0.6
"""A silence after which the connection counts as lost."""


def often(call: Callable[[], object]) -> Callable[[], None]:
    def calls() -> None:
        while True:
            call()
            time.sleep(0.01)

    return calls


def impatient(client: MakeClient, url: str) -> Any:
    """A stream that gives up after `SHORT_S`, and has had an answer. On a busy machine it takes more than one try."""
    deadline_s = time.monotonic() + WAIT_S
    while True:
        with contextlib.suppress(ConnectionLost, Unreachable), contextlib.ExitStack() as unless_answered:
            stream = client(url, timeout_s=SHORT_S).stream()
            unless_answered.callback(stream.close)
            stream.send(BODY)
            assert len(list(stream.flush())) == 1
            unless_answered.pop_all()
            return stream
        assert time.monotonic() < deadline_s, "it was never opened"


OPERATIONS: dict[str, Callable[[Any], object]] = {
    "iterating": lambda stream: list(stream),
    "received": lambda stream: list(stream.received(wait_s=WAIT_S)),
    "flush": lambda stream: list(stream.flush()),
    "finish": lambda stream: list(stream.finish()),
    "send": lambda stream: often(lambda: stream.send(BODY))(),
    "send_image": lambda stream: often(lambda: stream.send_image(JPEG))(),
    "reset": lambda stream: often(stream.reset)(),
    "room": lambda stream: often(lambda: stream.room)(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_peer_that_vanished_without_a_word_is_noticed_by_every_call(client: MakeClient, operation: str) -> None:
    with listening(Peer()) as url, relaying(url) as relay:
        stream = impatient(client, relay.url)
        relay.fall_silent()
        began_s = time.monotonic()
        with pytest.raises(ConnectionLost, match=r"0\.6 s") as caught:
            OPERATIONS[operation](stream)
        assert time.monotonic() - began_s < WAIT_S / 3, "long after its limit"
        assert caught.value.retryable
        stream.close()


def test_a_large_message_that_nobody_takes_does_not_hang(client: MakeClient) -> None:
    with listening(Peer(credits=1000)) as url, relaying(url) as relay:
        stream = impatient(client, relay.url)
        relay.fall_silent()
        with pytest.raises(ConnectionLost):
            often(lambda: stream.send_image(JPEG + bytes(2**20)))()
        stream.close()


def test_a_pause_shorter_than_the_limit_is_no_loss(client: MakeClient) -> None:
    with listening(Peer()) as url, relaying(url) as relay, client(relay.url, timeout_s=5.0).stream() as stream:
        relay.fall_silent()
        stream.send(BODY)
        assert list(stream.received(wait_s=2.5)) == []
        relay.go_on()
        assert len(list(stream.flush())) == 1


def test_a_server_that_is_only_silent_is_not_lost(client: MakeClient) -> None:
    with listening(Peer()) as url, client(url, timeout_s=1.0).stream() as stream:
        assert list(stream.received(wait_s=2.5)) == []
        stream.send(BODY)
        assert len(list(stream.flush())) == 1


def test_a_stream_that_says_nothing_is_kept_open_if_it_is_wanted(client: MakeClient, bundles: Path) -> None:
    with running(tiny_settings(bundles, idle_timeout_s=1.0)) as server:
        with client(server.url).stream("tiny", skeleton="coco17", keep_alive_s=0.2) as stream:
            assert list(stream.received(wait_s=2.5)) == []
        assert stream.summary is not None
        with (
            client(server.url).stream("tiny", skeleton="coco17") as stream,
            pytest.raises(RemoteError, match="idle_timeout"),
        ):
            list(stream)


# -- opening again ------------------------------------------------------------------------------------------------
def test_a_connection_that_is_cut_is_opened_again_and_says_which_frames_are_lost(client: MakeClient) -> None:
    class Half(Peer):
        """Answers every frame but those from the third on of its first stream."""

        def answer(self, socket: ServerConnection, message: object) -> bool:
            first = sum(isinstance(one, Start) for one in self.seen) == 1
            return (
                True
                if first and isinstance(message, PackedPose) and message.seq >= 2
                else super().answer(socket, message)
            )

    peer, told = Half(), list[Reconnection]()
    with (
        listening(peer) as url,
        relaying(url) as relay,
        client(relay.url).stream("b", reconnect=QUICK, on_reconnect=told.append) as stream,
    ):
        for _ in range(4):
            stream.send(BODY)
        wait_until(lambda: len([one for one in peer.seen if isinstance(one, PackedPose)]) == 4)
        first = [prediction.seq for prediction in stream.received(wait_s=0.1)]
        relay.cut()
        wait_until(lambda: bool(told))
        assert stream.send(BODY) == 4
        second = [prediction.seq for prediction in stream.flush()]
    assert (first, second) == ([0, 1], [4])
    assert [list(about.unanswered) for about in told] == [[2, 3]]
    assert isinstance(told[0].reason, ConnectionLost)
    assert told[0].ready == ready()
    assert stream.reconnections == 1
    assert [one.seq for one in peer.seen if isinstance(one, PackedPose)] == [0, 1, 2, 3, 4], "none is sent twice"


def test_a_server_that_is_restarted_is_found_again(client: MakeClient, bundles: Path) -> None:
    told: list[Reconnection] = []
    with running(tiny_settings(bundles)) as server:
        port = int(server.url.rpartition(":")[2])
        stream = client(server.url).stream("tiny", skeleton="coco17", reconnect=QUICK, on_reconnect=told.append)
        stream.send(BODY, 0.0)
        assert len(list(stream.flush())) == 1
    wait_until(lambda: not stream.connected)
    assert stream.room == 0
    with running(tiny_settings(bundles, port=port)):
        stream.send(BODY, 1.0)
        assert [prediction.epoch for prediction in stream.flush()] == [0]
        list(stream.finish())
        stream.close()
    (about,) = told
    assert isinstance(about.reason, RemoteError)
    assert about.reason.code == "draining"
    assert list(about.unanswered) == []


def test_a_refused_start_is_tried_again_where_the_error_is_retryable(client: MakeClient) -> None:
    peer, refusals = Peer(), list[ServerConnection]()

    def full_at_first(socket: ServerConnection) -> None:
        if len(refusals) < 2:
            socket.recv()
            refusals.append(socket)
            say(socket, error_message(OverCapacity("256 streams are open")))
            socket.close(1013)
        else:
            peer(socket)

    with listening(full_at_first) as url, client(url).stream(reconnect=QUICK) as stream:
        stream.send(BODY)
        assert len(list(stream.flush())) == 1
        assert stream.reconnections == 0, "nothing was lost"


def test_a_server_that_comes_later_is_waited_for(client: MakeClient, bundles: Path) -> None:
    with running(tiny_settings(bundles)) as server:
        port = int(server.url.rpartition(":")[2])
    started: list[Running] = []
    done = threading.Event()

    def later() -> None:
        with running(tiny_settings(bundles, port=port)) as second:
            started.append(second)
            done.wait(WAIT_S)

    thread = threading.Thread(target=later)
    thread.start()
    try:
        with client(f"http://127.0.0.1:{port}").stream("tiny", skeleton="coco17", reconnect=QUICK) as stream:
            assert stream.connected
    finally:
        done.set()
        thread.join()


def test_tries_end(client: MakeClient) -> None:
    with listening(Peer()) as url:
        pass
    limits = Reconnect(first_s=0.01, tries=3)
    with pytest.raises(Unreachable, match="inkling serve"):
        client(url).stream(reconnect=limits)


def test_without_the_option_a_retryable_error_ends_the_stream(client: MakeClient) -> None:
    def slow(socket: ServerConnection) -> None:
        socket.recv()
        say(socket, ready())
        socket.recv()
        say(socket, error_message(SlowReader("read faster")))
        socket.close(4408)

    with listening(slow) as url, contextlib.closing(client(url).stream()) as stream:
        stream.send(BODY)
        with pytest.raises(RemoteError, match="slow_reader") as caught:
            list(stream)
    assert caught.value.retryable


# -- callbacks ----------------------------------------------------------------------------------------------------
def test_predictions_reach_their_callback_while_the_program_does_something_else(client: MakeClient) -> None:
    heard: list[int] = []
    with listening(Peer()) as url:
        stream = client(url).stream(on_prediction=lambda one: heard.append(one.seq))
        for _ in range(10):
            stream.send(BODY)
        wait_until(lambda: len(heard) == 10)
        assert list(stream.received()) == []
        list(stream.finish())
        stream.close()
    assert heard == list(range(10))


def test_leaving_the_block_waits_for_the_last_callback(client: MakeClient) -> None:
    heard: list[int] = []
    with listening(Peer()) as url, client(url).stream(on_prediction=lambda one: heard.append(one.seq)) as stream:
        for _ in range(3):
            stream.send(BODY)
    assert heard == [0, 1, 2]


def test_an_error_in_a_callback_is_told_to_the_program(client: MakeClient) -> None:
    def fail(_: object) -> None:
        raise KeyError("mine")

    def run(url: str) -> None:
        with client(url).stream(on_prediction=fail) as stream:
            stream.send(BODY)

    with listening(Peer()) as url, pytest.raises(CallbackError, match="on_prediction raised KeyError") as caught:
        run(url)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_closed_stream_says_so(client: MakeClient) -> None:
    with listening(Peer()) as url:
        stream = client(url).stream()
        stream.close()
        stream.close()
        with pytest.raises(ClientError, match="closed"):
            stream.send(BODY)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    wait_until(lambda: not [thread for thread in threading.enumerate() if thread.name == "inkling-client"])
