"""Waits for clients that end in time, but not because this process did not run."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from inkling.service.patience import GRACE_S, UNREAD_BYTES, Unread, overslept, patience


def test_a_wait_ends_in_time() -> None:
    async def main() -> float:
        begin_s = time.monotonic()
        with pytest.raises(TimeoutError):
            async with patience(0.05):
                await asyncio.sleep(60)
        return time.monotonic() - begin_s

    assert 0.05 <= asyncio.run(main()) < 10


def test_what_came_while_the_loop_did_not_run_is_read_before_the_wait_ends() -> None:
    async def main() -> bytes:
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_connection(sock=ours)
            asyncio.get_running_loop().call_soon(time.sleep, 0.6)  # as if the process had been stopped
            asyncio.get_running_loop().call_soon(theirs.sendall, b"here")
            async with patience(0.05):
                said = await reader.readexactly(4)
            writer.close()
            return said

    assert asyncio.run(main()) == b"here"
    assert overslept(10.0, 10.0 + GRACE_S)
    assert not overslept(10.0, 10.01)


class Buffer(asyncio.WriteTransport):
    """A transport's write buffer."""

    size = 100_000

    def get_write_buffer_size(self) -> int:
        return self.size


@pytest.mark.parametrize(("reads", "given_up"), [(0, True), (UNREAD_BYTES // 100, True), (UNREAD_BYTES * 2, False)])
def test_a_client_that_takes_nothing_or_next_to_nothing_is_given_up(reads: int, given_up: bool) -> None:
    async def main() -> bool:
        loop, buffer, gone = asyncio.get_running_loop(), Buffer(), asyncio.Event()
        unread = Unread(loop, buffer, gone.set, 0.05)
        unread.begin()
        for _ in range(6):
            buffer.size -= reads
            await asyncio.sleep(0.03)
        unread.end()
        return gone.is_set()

    assert asyncio.run(main()) is given_up
