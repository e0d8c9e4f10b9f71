from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from websockets.sync.server import ServerConnection

from inkling.service.client.blocking import AsyncClient, ConnectionLost, RemoteError, Unreachable
from inkling.service.client.target import Frame
from inkling.service.protocol.codec import End, error_message
from inkling.service.protocol.errors import OverCapacity
from tests.service.client.peer import LABELS, Peer, answering, listening, ready, say
from tests.service.client.test_blocking import ANSWER

BODY = np.ones((17, 3), np.float32)


def test_one_task_sends_while_another_iterates() -> None:
    async def run(url: str) -> list[int]:
        async with AsyncClient(url).stream(skeleton="coco17") as stream:
            assert stream.labels == LABELS

            async def send() -> None:
                for frame in range(30):
                    await stream.send(BODY, frame / 30)
                await stream.end()

            sender = asyncio.create_task(send())
            heard = [prediction.seq async for prediction in stream]
            await sender
            assert stream.summary is not None
            assert stream.summary.received == 30
            return heard

    with listening(Peer(credits=2)) as url:
        assert asyncio.run(run(url)) == list(range(30))


def test_play_takes_frames_from_an_async_source_and_skipped_ones_give_credits_back() -> None:
    async def source() -> AsyncIterator[Frame]:
        for frame in range(16):
            await asyncio.sleep(0)
            yield frame / 30, BODY

    async def run(url: str) -> list[int]:
        async with AsyncClient(url).stream() as stream:
            return [prediction.seq async for prediction in stream.play(source())]

    with listening(Peer(credits=4, skip_odd=True)) as url:
        assert asyncio.run(run(url)) == list(range(0, 16, 2))


def test_flush_yields_everything_sent_so_far() -> None:
    async def run(url: str) -> list[int]:
        async with AsyncClient(url).stream() as stream:
            await stream.send({1: BODY, 4: BODY})
            return [prediction.track async for prediction in stream.flush()]

    with listening(Peer()) as url:
        assert asyncio.run(run(url)) == [1, 4]


def test_leaving_the_block_ends_the_stream_and_an_exception_does_not() -> None:
    async def run(url: str, fail: bool) -> None:
        async with AsyncClient(url).stream() as stream:
            await stream.send(BODY)
            await stream.reset()
            if fail:
                raise KeyError
        assert stream.summary is not None

    peer = Peer()
    with listening(peer) as url:
        asyncio.run(run(url, False))
        assert peer.seen[-1] == End()
        peer.seen.clear()
        with pytest.raises(KeyError):
            asyncio.run(run(url, True))
    assert End() not in peer.seen


def test_a_refusal_a_loss_and_nobody_there_are_typed() -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url).stream() as stream:
            await stream.send(BODY)
            async for _ in stream:
                pass

    def refuse(socket: ServerConnection) -> None:
        socket.recv()
        say(socket, error_message(OverCapacity("256 streams are open")))
        socket.close(1013)

    def vanish(socket: ServerConnection) -> None:
        socket.recv()
        say(socket, ready())
        socket.recv()
        socket.close(1011)

    with listening(refuse) as url, pytest.raises(RemoteError, match="256 streams"):
        asyncio.run(run(url))
    with listening(vanish) as url, pytest.raises(ConnectionLost, match="1011"):
        asyncio.run(run(url))
    with pytest.raises(Unreachable, match="inkling serve"):
        asyncio.run(run(url))


def test_an_idle_stream_may_be_silent_longer_than_the_timeout() -> None:
    async def run(url: str) -> int:
        async with AsyncClient(url, timeout_s=0.5).stream() as stream:

            async def first() -> int:
                return [prediction.seq async for prediction in stream][0]  # noqa: RUF015

            reader = asyncio.create_task(first())
            await asyncio.sleep(0.8)
            await stream.send(BODY)
            await stream.end()
            return await reader

    with listening(Peer()) as url:
        assert asyncio.run(run(url)) == 0


def test_a_clip_is_scored() -> None:
    with answering(200, ANSWER) as (url, posted):
        timeline = asyncio.run(AsyncClient(url).score({2: np.ones((3, 17, 2))}, "other"))
    assert timeline.version == "2"
    assert posted.path == "/v1/clips?bundle=other"
