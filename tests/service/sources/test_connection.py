"""The server's end of a connection: what the process says is passed on, and whatever it is doing, it can be ended."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inkling.service.sources.connection import Connection
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.pipe import Ended, Failed, FetchedFrame, Opened, WorkerMessage
from tests.service.sources.cameras import make_video, silent, until, within
from tests.service.sources.test_worker import job


def said_after(url: str, do: Callable[[Connection], object]) -> list[WorkerMessage]:
    """What is said by a process whose server never answers it, and to which something is done once it is connected."""

    async def run() -> list[WorkerMessage]:
        async with Connection(job(url.format(port=port), open_s=60, read_s=60)) as connection:

            async def act() -> None:
                await until(lambda: bool(arrived))
                do(connection)

            acting = asyncio.create_task(act())
            messages = [message async for message in connection.messages()]
            await acting
            return messages

    arrived: list[socket.socket] = []
    with silent(arrived) as port:
        return asyncio.run(run())


def test_what_the_process_says_is_passed_on_in_order_until_its_last_word(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=3)

    async def run() -> list[type[WorkerMessage]]:
        async with Connection(job("file:a.mp4", tmp_path)) as connection:
            return [type(message) async for message in connection.messages()]

    assert asyncio.run(run()) == [Opened, FetchedFrame, FetchedFrame, FetchedFrame, Ended]


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_connection_that_hangs_can_be_killed(scheme: str) -> None:
    async def bounded() -> list[WorkerMessage]:
        async with asyncio.timeout(30):  # far less than the process itself would wait
            return await asyncio.to_thread(said_after, f"{scheme}://127.0.0.1:{{port}}/x", Connection.kill)

    assert asyncio.run(bounded()) == []


def test_a_connection_that_is_killed_before_it_begins_says_nothing() -> None:
    async def run() -> list[WorkerMessage]:
        connection = Connection(job(f"rtsp://127.0.0.1:{port}/x", open_s=60))
        connection.kill()
        async with connection:
            return [message async for message in connection.messages()]

    with silent() as port:
        assert asyncio.run(run()) == []


def test_a_connection_that_is_cancelled_leaves_no_process() -> None:
    async def run() -> int | None:
        connection = Connection(job(f"rtsp://127.0.0.1:{port}/x", open_s=60))

        async def wait() -> None:
            async with connection:
                async for _ in connection.messages():
                    pass

        task = asyncio.create_task(wait())
        await until(lambda: bool(arrived))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert connection._process is not None
        return connection._process.returncode

    arrived: list[socket.socket] = []
    with silent(arrived) as port:
        assert asyncio.run(run()) == -signal.SIGKILL


def test_a_process_that_dies_is_reported() -> None:
    def crash(connection: Connection) -> None:
        assert connection._process is not None
        connection._process.send_signal(signal.SIGSEGV)

    (last,) = said_after("rtsp://127.0.0.1:{port}/x", crash)
    assert isinstance(last, Failed)
    assert last.cause is Cause.CRASHED
    assert "-11" in last.message


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_neither_the_url_nor_the_servers_variables_reach_a_process_that_others_can_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def look(process: int) -> bytes:
        return b"".join(Path(f"/proc/{process}/{name}").read_bytes() for name in ("cmdline", "environ"))

    async def run() -> bytes:
        async with Connection(job(f"rtsp://me:secret@127.0.0.1:{port}/x", open_s=60)) as connection:
            assert connection._process is not None
            process = connection._process.pid
            await asyncio.to_thread(within, 30, lambda: b"inkling.service.sources.worker" in look(process))
            return look(process)

    monkeypatch.setenv("INKLING_TOKEN", "another secret")
    with silent() as port:
        seen = asyncio.run(run())
    assert b"inkling.service.sources.worker" in seen
    assert b"secret" not in seen


def test_messages_are_of_a_connection_that_is_open() -> None:
    async def run() -> None:
        async for _ in Connection(job("rtsp://127.0.0.1:1/x")).messages():
            pass

    with pytest.raises(RuntimeError, match="inside its context"):
        asyncio.run(run())
