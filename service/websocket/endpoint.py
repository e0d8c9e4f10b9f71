"""The WebSocket shell of `/v1/stream`, and of those who follow a stream. Only this room touches a WebSocket.

A stream costs one coroutine, which waits for its end. Messages come from the transport in plain calls (socket ->
protocol -> hub), answers go to it in plain calls (hub -> protocol -> socket), and one timer watches over the silence of
all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator

from starlette.websockets import WebSocket, WebSocketDisconnect

from inkling.service.logs import stream_context
from inkling.service.metrics import Metrics
from inkling.service.protocol.codec import Summary, encode
from inkling.service.protocol.errors import Internal, OutOfOrder, ServiceError
from inkling.service.streams.broadcast import Follower
from inkling.service.streams.hub import Hub
from inkling.service.websocket.closing import NORMAL, RESTART, send_and_close, transport_of
from inkling.service.websocket.connection import StreamConnection

log = logging.getLogger(__name__)

_SWEEP = 10
"""Looks at each stream's silence, in the time that it may last."""


class StreamEndpoint:
    """Serves streams over WebSockets, and knows how many are at work."""

    def __init__(self, hub: Hub, metrics: Metrics, idle_timeout_s: float, outbox: int, max_text: int) -> None:
        """outbox: messages that may wait for one client. max_text: characters of a text message.

        idle_timeout_s: silence after which a stream ends.
        """
        self.hub = hub
        self.metrics = metrics
        self.idle_timeout_s = idle_timeout_s
        self.outbox = outbox
        self.max_text = max_text
        self.at_work = 0
        """Connections with a stream, or with an answer to their `start`, that is still to be sent."""
        self._none_busy = asyncio.Event()
        self._none_busy.set()
        self._watched: set[StreamConnection] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def serve(self, websocket: WebSocket) -> None:
        """One connection from its handshake to its close. Raises nothing but cancellation."""
        with contextlib.suppress(WebSocketDisconnect):
            try:
                transport = transport_of(websocket)
            except Internal as error:
                log.error("no stream can be served: %s", error)
                self.metrics.errors[error.code] += 1
                await websocket.accept()
                await send_and_close(websocket, error)
            else:
                await StreamConnection(self, websocket, transport).run()

    async def follow(self, websocket: WebSocket, stream: str) -> None:
        """One connection that listens to a stream, from its handshake to its close. Raises nothing but cancellation."""
        with contextlib.suppress(WebSocketDisconnect), stream_context(stream), self.busy():
            await websocket.accept()
            try:
                follower = self.hub.follow(stream, self.outbox)
                try:
                    await _listen(websocket, follower)
                finally:
                    follower.close()
            except ServiceError as error:
                self.metrics.errors[error.code] += 1
                await send_and_close(websocket, error)
            else:
                await websocket.close(RESTART if self.hub.draining else NORMAL)

    async def closed(self) -> None:
        """Wait until no connection is at work."""
        await self._none_busy.wait()

    def watch(self, connection: StreamConnection) -> None:
        """Look after the silence of an open stream."""
        self._watched.add(connection)
        if self._sweep is None:
            self._look()

    def unwatch(self, connection: StreamConnection) -> None:
        """The stream has ended."""
        self._watched.discard(connection)
        if not self._watched and self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    def _look(self) -> None:
        now_s = time.monotonic()
        for connection in self._watched:
            connection.check_silence(now_s)
        self._sweep = asyncio.get_running_loop().call_later(self.idle_timeout_s / _SWEEP, self._look)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """A connection is worth waiting for."""
        self.at_work += 1
        self._none_busy.clear()
        try:
            yield
        finally:
            self.at_work -= 1
            if not self.at_work:
                self._none_busy.set()


async def _listen(websocket: WebSocket, follower: Follower) -> None:
    """Send a stream's messages up to its summary. Raises the follower's error, OutOfOrder, WebSocketDisconnect."""

    async def write() -> None:
        while True:
            message = await follower.next()
            await websocket.send_text(encode(message))
            if isinstance(message, Summary):
                return

    async def read() -> None:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
        raise OutOfOrder("a follower only listens")

    tasks = [asyncio.create_task(each) for each in (write(), read(), follower.overflow())]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(tasks)
    next(task for task in tasks if task in done).result()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
