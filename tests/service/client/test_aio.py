"""What is peculiar to the async client, and that it has the same methods and arguments as the blocking one."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator

import numpy as np
import pytest

from inkling.client import AsyncClient, AsyncStream, Client, ClientError, Stream
from inkling.service.client.people import Frame
from tests.service.client.peer import LABELS, Peer, listening

BODY = np.ones((17, 3), np.float32)


@pytest.mark.parametrize(("blocking", "other"), [(Client, AsyncClient), (Stream, AsyncStream)])
def test_both_clients_have_the_same_methods_with_the_same_arguments(blocking: type, other: type) -> None:
    def public(kind: type) -> dict[str, list[tuple[object, ...]]]:
        found: dict[str, list[tuple[object, ...]]] = {}
        for name in dir(kind):
            if not name.startswith("_") or name == "__init__":
                each = inspect.getattr_static(kind, name)
                parameters = [] if isinstance(each, property) else inspect.signature(each).parameters.values()
                found[name] = [(p.name, p.kind, p.default) for p in parameters]
        return found

    assert public(blocking) == public(other)


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


def test_frames_may_come_from_an_async_source() -> None:
    async def source() -> AsyncIterator[Frame]:
        for frame in range(16):
            await asyncio.sleep(0)
            yield frame / 30, BODY

    async def run(url: str) -> list[int]:
        async with AsyncClient(url).stream() as stream:
            return [prediction.seq async for prediction in stream.play(source())]

    with listening(Peer(credits=4, skip_odd=True)) as url:
        assert asyncio.run(run(url)) == list(range(0, 16, 2))


def test_a_stream_that_was_not_opened_says_how() -> None:
    async def run() -> None:
        stream = AsyncClient().stream()
        with pytest.raises(ClientError, match="await it"):
            await stream.send(BODY)
        with pytest.raises(ClientError, match="await it"):
            _ = stream.labels
        await stream.close()

    asyncio.run(run())


def test_a_program_that_is_cancelled_leaves_no_connection() -> None:
    async def run(url: str) -> None:
        async with AsyncClient(url).stream() as stream:
            opened.set()
            async for _ in stream:
                pass

    async def cancelled(url: str) -> int:
        task = asyncio.create_task(run(url))
        await opened.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    opened = asyncio.Event()
    with listening(Peer()) as url:
        assert asyncio.run(cancelled(url)) == 1
