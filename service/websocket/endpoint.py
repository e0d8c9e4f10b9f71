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

from inkling.service.access.control import AccessControl
from inkling.service.access.roles import Role
from inkling.service.logs import stream_context
from inkling.service.metrics import Metrics
from inkling.service.patience import overslept, patience
from inkling.service.protocol.codec import Summary, decode, encode
from inkling.service.protocol.errors import BadMessage, IdleTimeout, Internal, OutOfOrder, ServiceError
from inkling.service.streams.broadcast import EVERYTHING, Follower, FollowerChoice
from inkling.service.streams.hub import Hub
from inkling.service.websocket.closing import BROKEN, NORMAL, RESTART, send_and_close, transport_of
from inkling.service.websocket.connection import START_S, StreamConnection
from inkling.service.websocket.identity import chosen_subprotocol, identify, identity_of
from inkling.service.websocket.transport import StreamTransport

log = logging.getLogger(__name__)

_SWEEP = 10
"""Looks at each stream's silence, in the time that it may last."""


class StreamEndpoint:
    """Serves streams over WebSockets, and knows how many are at work."""

    def __init__(
        self, hub: Hub, metrics: Metrics, access: AccessControl, idle_timeout_s: float, outbox: int, max_text: int
    ) -> None:
        """outbox: messages that may wait for one client. max_text: characters of a text message.

        idle_timeout_s: silence after which a stream ends.
        """
        self.hub = hub
        self.metrics = metrics
        self.access = access
        self.idle_timeout_s = idle_timeout_s
        self.start_s = START_S
        self.outbox = outbox
        self.max_text = max_text
        self.at_work = 0
        """Connections with a stream, or with an answer to their `start`, that is still to be sent."""
        self._none_busy = asyncio.Event()
        self._none_busy.set()
        self._watched: set[StreamConnection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        self._attentive_s = 0.0
        """When the loop last went on after a pause, in which nobody was heard."""

    async def serve(self, websocket: WebSocket) -> None:
        """One connection from its handshake to its close. Raises nothing but cancellation."""
        with contextlib.suppress(WebSocketDisconnect):
            transport = await self._transport(websocket)
            with self._refusals(transport):
                await StreamConnection(self, websocket, transport).run()

    async def follow(self, websocket: WebSocket, stream: str, choice: FollowerChoice = EVERYTHING) -> None:
        """One connection that listens to a stream, from its handshake to its close. Raises nothing but cancellation."""
        with contextlib.suppress(WebSocketDisconnect), stream_context(stream), self.busy():
            transport = await self._transport(websocket)
            with self._refusals(transport):
                await websocket.accept(subprotocol=chosen_subprotocol(websocket))
                try:
                    if identity_of(websocket) is None:
                        identify(websocket, self.access.gate, await self._first_message(websocket), Role.VIEW)
                    follower = self.hub.follow(stream, self.outbox, choice)
                    transport.admitted = True
                    try:
                        await _listen(websocket, follower)
                    finally:
                        follower.close()
                except ServiceError as error:
                    self.metrics.errors[error.code] += 1
                    await send_and_close(websocket, error)
                else:
                    await websocket.close(RESTART if self.hub.draining else NORMAL)

    async def _transport(self, websocket: WebSocket) -> StreamTransport:
        """The connection below. Raises WebSocketDisconnect, also when it is none of ours, which the client is told."""
        try:
            return transport_of(websocket)
        except Internal as error:
            log.error("no stream can be served: %s", error)
            self.metrics.errors[error.code] += 1
            await websocket.accept()
            await send_and_close(websocket, error)
            raise WebSocketDisconnect(BROKEN) from None

    async def _first_message(self, websocket: WebSocket) -> object:
        """The message of a follower that must bring its token. Raises WebSocketDisconnect, ServiceError."""
        try:
            async with patience(self.start_s):
                return decode(await websocket.receive_text(), self.max_text)
        except TimeoutError:
            raise IdleTimeout(f"no token within {self.start_s:g} s") from None
        except KeyError:
            raise BadMessage("a token comes as text") from None

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

    @contextlib.contextmanager
    def _refusals(self, transport: StreamTransport) -> Iterator[None]:
        """Count and log what the transport itself refuses."""
        try:
            yield
        finally:
            if (error := transport.refusal) is not None:
                self.metrics.errors[error.code] += 1
                log.info("connection refused: %s", error, extra={"code": error.code})

    def _look(self) -> None:
        now_s = time.monotonic()
        if self._sweep is not None and overslept(self._due_s, now_s):
            self._attentive_s = now_s
        for connection in self._watched:
            connection.check_silence(now_s, self._attentive_s)
        every_s = self.idle_timeout_s / _SWEEP
        self._due_s = now_s + every_s
        self._sweep = asyncio.get_running_loop().call_later(every_s, self._look)

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
