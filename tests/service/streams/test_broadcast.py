"""Listening to another's stream: the same predictions, by WebSocket or server-sent events, at nobody's expense."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from inkling.service.http.sse import events
from inkling.service.protocol.codec import (
    Credit,
    ErrorMessage,
    Outgoing,
    Prediction,
    Ready,
    Start,
    Summary,
    decode_reply,
)
from inkling.service.protocol.errors import OverCapacity, SlowReader, StreamLost
from inkling.service.protocol.prediction_value import PredictionValue
from inkling.service.streams.broadcast import Broadcast, FollowerPlaces
from tests.service.conftest import (
    Running,
    body,
    hear,
    hear_all,
    pose,
    raw,
    running,
    say,
    settled,
    tiny_settings,
    wait_until,
)
from tests.support import make_bundle

READY = Ready(stream="s", bundle="b", version="1", labels=("x", "y"), rate_hz=15.0, credits=8)
SUMMARY = Summary(received=1, stepped=1, skipped=0, dropped=0, refused=0, tracks=1, resets={}, duration_s=1.0)


START = Start(bundle="b")


def value(seq: int) -> PredictionValue:
    return PredictionValue(seq, seq / 15, 0, 0, [0.7, 0.3], b"", 0, None, 0, 0, 0, 0.25)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root: Path = tmp_path_factory.mktemp("bundles")
    make_bundle(root)
    make_bundle(root, "wide", labels=tuple(f"label {i}" for i in range(400)))  # large messages
    with running(tiny_settings(root, load=("tiny", "wide"), max_followers=3, outbox=64)) as shared:
        yield shared


@pytest.fixture(autouse=True)
def nobody_left(server: Running) -> Iterator[None]:
    yield
    server.wait_idle()
    wait_until(lambda: server.core.hub.followers == 0)


def follow(server: Running, stream: str, **options: Any) -> Any:
    address = server.url.replace("http", "ws", 1) + f"/v1/streams/{stream}/predictions"
    return connect(address, compression=None, ping_interval=None, **options)


def start(socket: ClientConnection, **fields: Any) -> str:
    say(socket, {"type": "start", "bundle": "tiny"} | fields)
    ready = hear(socket)
    assert isinstance(ready, Ready)
    return ready.stream


def send(socket: ClientConnection, count: int, first: int = 0) -> list[Outgoing]:
    heard: list[Outgoing] = []
    for seq in range(first, first + count):
        say(socket, pose(seq, seq / 15, {1: body(seq)}))
        heard += settled(socket, seq)
    return heard


def test_a_follower_hears_what_the_client_hears_from_then_on(server: Running) -> None:
    with raw(server) as socket:
        stream = start(socket)
        send(socket, 3)
        with follow(server, stream) as other:
            ready = hear(other)
            assert isinstance(ready, Ready)
            assert (ready.stream, ready.bundle, ready.credits) == (stream, "tiny", 0)
            mine = send(socket, 4, first=3)
            say(socket, {"type": "end"})
            ending, _ = hear_all(socket)
            theirs, code = hear_all(other)
    assert theirs == [*mine, *ending]
    assert [message.seq for message in theirs if isinstance(message, Prediction)] == [3, 4, 5, 6]
    assert code == 1000


def test_server_sent_events_carry_the_same_messages(server: Running) -> None:
    with raw(server) as socket:
        stream = start(socket)
        with httpx.stream("GET", f"{server.url}/v1/streams/{stream}/predictions", timeout=30) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.iter_lines()
            assert next(lines) == "event: ready"
            assert json.loads(next(lines).removeprefix("data: "))["labels"] == ["a", "b", "c"]
            mine = send(socket, 3)
            say(socket, {"type": "end"})
            ending, _ = hear_all(socket)
            data = [decode_reply(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert data == [*mine, *ending]
    assert isinstance(data[-1], Summary)


def test_followers_of_a_client_that_vanishes_are_told(server: Running) -> None:
    with ExitStack() as held:
        with raw(server) as socket:
            other = held.enter_context(follow(server, start(socket)))
            hear(other)
        heard, code = hear_all(other)
    assert [message.code for message in heard if isinstance(message, ErrorMessage)] == ["stream_lost"]
    assert code == StreamLost.close


def test_no_such_stream_is_a_typed_error_on_both_ways(server: Running) -> None:
    with follow(server, "nothing") as other:
        heard, code = hear_all(other)
    assert [message.code for message in heard if isinstance(message, ErrorMessage)] == ["unknown_stream"]
    assert code == 4404
    answer = httpx.get(f"{server.url}/v1/streams/nothing/predictions")
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_stream")


def test_a_follower_that_talks_is_sent_away_and_the_stream_goes_on(server: Running) -> None:
    with raw(server) as socket:
        with follow(server, start(socket)) as other:
            hear(other)
            say(other, {"type": "reset"})
            heard, code = hear_all(other)
        assert [message.code for message in heard if isinstance(message, ErrorMessage)] == ["out_of_order"]
        assert code == 4409
        answers = send(socket, 2)
    assert [message.epoch for message in answers if isinstance(message, Prediction)] == [0, 0]


def test_one_follower_too_many_is_refused_and_a_place_comes_free(server: Running) -> None:
    with raw(server) as socket, ExitStack() as held:
        stream = start(socket)
        others = [held.enter_context(follow(server, stream)) for _ in range(3)]
        assert all(isinstance(hear(other), Ready) for other in others)
        with follow(server, stream) as late:
            heard, code = hear_all(late)
        assert [message.code for message in heard if isinstance(message, ErrorMessage)] == ["over_capacity"]
        assert code == 1013
        others.pop().close()
        wait_until(lambda: server.core.hub.followers == 2)
        with follow(server, stream) as late:
            assert isinstance(hear(late), Ready)


def test_a_follower_that_does_not_read_loses_the_stream_and_holds_nobody_up(server: Running) -> None:
    with raw(server) as socket, ExitStack() as held:
        stream = start(socket, bundle="wide")
        lazy = held.enter_context(follow(server, stream, max_queue=1))
        deadline_s = time.monotonic() + 60
        seq = 0
        while server.core.hub.followers and time.monotonic() < deadline_s:
            people = {track: body(track) for track in range(32)}
            say(socket, pose(seq, seq / 15, people))
            assert len(settled(socket, seq)) >= 32
            seq += 1
        assert server.core.hub.followers == 0
        wait_until(lambda: server.counts("slow_reader") == 1)
        heard: list[Outgoing] = []
        try:
            while True:
                heard.append(decode_reply(lazy.recv(10)))
        except ConnectionClosed:
            pass
    assert isinstance(heard[0], Ready)
    assert not isinstance(heard[-1], Summary)


def test_the_drain_of_the_server_ends_with_a_summary(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    with running(tiny_settings(tmp_path)) as own, raw(own) as socket, follow(own, start(socket)) as other:
        hear(other)
        send(socket, 2)
        own.server.stop()
        heard, code = hear_all(other)
    assert isinstance(heard[-1], Summary)
    assert code == 1012


# -- the copies, without a server ---------------------------------------------------------------------------------
def test_only_what_is_of_interest_is_copied() -> None:
    async def run() -> list[Outgoing]:
        mine: list[Outgoing] = []
        broadcast = Broadcast(READY.labels, START, mine.append, FollowerPlaces(1))
        broadcast.send(READY)
        follower = broadcast.follow(10)
        broadcast.predict(value(0))
        broadcast.send(Credit(seq=1, skipped=1, dropped=0))
        broadcast.predict(value(2))
        broadcast.send(SUMMARY)
        broadcast.close()
        assert len(mine) == 5
        return [await follower.next() for _ in range(4)]

    assert [message.type for message in asyncio.run(run())] == ["ready", "prediction", "prediction", "summary"]


@pytest.mark.parametrize("results", ["json", "packed"])
def test_the_client_gets_as_bytes_what_followers_get_as_messages(results: Literal["json", "packed"]) -> None:
    async def run() -> tuple[list[Outgoing], list[str | bytes], list[Outgoing]]:
        mine: list[Outgoing] = []
        written: list[str | bytes] = []
        start = Start(bundle="b", results=results, unknown=True)
        broadcast = Broadcast(READY.labels, start, mine.append, FollowerPlaces(1), written.append)
        broadcast.send(READY)
        broadcast.predict(value(0))
        follower = broadcast.follow(10)
        broadcast.predict(value(1))
        broadcast.send(SUMMARY)
        return mine, written, [await follower.next() for _ in range(3)]

    mine, written, copied = asyncio.run(run())
    assert mine == [READY, SUMMARY]
    own = [decode_reply(data, READY.labels) for data in written]
    assert [message.seq for message in own if isinstance(message, Prediction)] == [0, 1]
    assert copied[1] == own[1]
    assert isinstance(copied[1], Prediction)
    assert copied[1].unknown == 0.25


def test_a_listener_beyond_its_room_is_lost_and_its_place_free() -> None:
    async def run() -> None:
        places = FollowerPlaces(1)
        broadcast = Broadcast(READY.labels, START, lambda _: None, places)
        broadcast.send(READY)
        follower = broadcast.follow(3)
        with pytest.raises(OverCapacity):
            broadcast.follow(3)
        for seq in range(3):
            broadcast.predict(value(seq))
        assert places.used == 0
        with pytest.raises(SlowReader):
            await follower.next()
        follower.close()
        assert places.used == 0
        broadcast.follow(3)

    asyncio.run(run())


def test_a_quiet_stream_sends_comments_and_ends_well() -> None:
    async def run() -> list[str]:
        broadcast = Broadcast(READY.labels, START, lambda _: None, FollowerPlaces(1))
        broadcast.send(READY)
        texts = events(broadcast.follow(3), quiet_s=0.01)
        read = [await anext(texts), await anext(texts)]
        broadcast.send(SUMMARY)
        return [*read, *[text async for text in texts]]

    read = asyncio.run(run())
    assert read[0].startswith("event: ready\ndata: {")
    assert read[1] == ": still here\n\n"
    assert read[-1].startswith("event: summary\n")
