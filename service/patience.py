"""How long the server waits for a client, on the event loop's clock.

A process that was stopped, or a loop that was held up, finds its timers overdue before it has read what its clients
sent meanwhile. Waits that end here therefore look at how late they are, and give such clients `GRACE_S` more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

LATE_S = 0.25
"""A timer that is later than that says that the loop did not run."""
GRACE_S = 1.0
"""Seconds that clients get after such a pause: their data is there, and must only be read."""

UNREAD_S = 30.0
"""Seconds in which a client must take `UNREAD_BYTES` of what waits for it, or all."""
UNREAD_BYTES = 4096


def overslept(due_s: float, now_s: float) -> bool:
    """Whether a timer that was due at `due_s` is so late that the loop cannot have run. Pure."""
    return now_s - due_s > LATE_S


class Timer:
    """Calls something once after some seconds, unless it is cancelled; later when the loop did not run."""

    __slots__ = ("_call", "_due_s", "_handle", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, call: Callable[[], None]) -> None:
        self._loop = loop
        self._call = call
        self._arm(seconds)

    def _arm(self, seconds: float) -> None:
        self._due_s = self._loop.time() + seconds
        self._handle = self._loop.call_later(seconds, self._due)

    def _due(self) -> None:
        if overslept(self._due_s, self._loop.time()):
            self._arm(GRACE_S)
        else:
            self._call()

    def cancel(self) -> None:
        """Idempotent."""
        self._handle.cancel()


@asynccontextmanager
async def patience(limit_s: float) -> AsyncIterator[None]:
    """`asyncio.timeout`, but later when the loop did not run. Raises TimeoutError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer = Timer(loop, limit_s, lambda: limit.reschedule(loop.time()))
        try:
            yield
        finally:
            timer.cancel()


class Unread:
    """Watches one connection whose client does not read as fast as it is written to.

    given_up: called when the client has taken less than `UNREAD_BYTES` in `limit_s`.
    """

    __slots__ = ("_given_up", "_limit_s", "_loop", "_size", "_timer", "_transport")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.WriteTransport,
        given_up: Callable[[], None],
        limit_s: float,
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._given_up = given_up
        self._limit_s = limit_s
        self._timer: Timer | None = None
        self._size = 0

    def begin(self) -> None:
        """The socket is full."""
        self.end()
        self._size = self._transport.get_write_buffer_size()
        self._timer = Timer(self._loop, self._limit_s, self._look)

    def end(self) -> None:
        """The socket has room again, or is closed. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._size - self._transport.get_write_buffer_size() < UNREAD_BYTES:
            self._timer = None
            self._given_up()
        else:
            self.begin()
