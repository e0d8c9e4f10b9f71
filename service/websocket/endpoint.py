"""The WebSocket shell of `/v1/stream`, and of those who follow a stream: the only file that touches a WebSocket.

It moves messages and owns no meaning.

A stream costs one coroutine, which waits for its end. Messages come from the transport in plain calls (socket ->
protocol -> hub), answers go to it in plain calls (hub -> protocol -> socket), and one timer watches over the silence of
all. The first thing to end a stream does: a message, a silence, too many answers that the client does not read. Then
the hub forgets the stream, and only then the client is told, however slowly it reads.
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
from inkling.service.protocol.codec import ErrorMessage, Outgoing, Start, Summary, decode, encode, error_message
from inkling.service.protocol.errors import Draining, IdleTimeout, Internal, OutOfOrder, ServiceError, SlowReader
from inkling.service.streams.broadcast import Follower
from inkling.service.streams.handle import Handle
from inkling.service.streams.hub import Hub
from inkling.service.websocket.transport import EXTENSION, StreamTransport

log = logging.getLogger(__name__)

FLUSH_S = 2.0
"""Seconds that the messages before a closing error get to be written."""

_SWEEP = 10
"""Looks at each stream's silence, in the time that it may last."""

NORMAL, BROKEN, RESTART = 1000, 1011, 1012

_End = str | ServiceError
"""How a stream ended: a cause for the log, or what to tell the client."""


class SocketShell:
    """Serves streams over WebSockets, and knows how many are at work."""

    def __init__(self, hub: Hub, metrics: Metrics, idle_timeout_s: float, outbox: int) -> None:
        """outbox: messages that may wait for one client. idle_timeout_s: silence after which a stream ends."""
        self.hub = hub
        self.metrics = metrics
        self.idle_timeout_s = idle_timeout_s
        self.outbox = outbox
        self.at_work = 0
        """Connections with a stream, or with an answer to their `start`, that is still to be sent."""
        self._none_busy = asyncio.Event()
        self._none_busy.set()
        self._watched: set[_Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None

    async def serve(self, websocket: WebSocket) -> None:
        """One connection from its handshake to its close. Raises nothing but cancellation."""
        with contextlib.suppress(WebSocketDisconnect):
            try:
                transport = _transport(websocket)
            except Internal as error:
                log.error("no stream can be served: %s", error)
                self.metrics.errors[error.code] += 1
                await websocket.accept()
                await _say_why(websocket, error)
            else:
                await _Connection(self, websocket, transport).run()

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
                await _say_why(websocket, error)
            else:
                await websocket.close(RESTART if self.hub.draining else NORMAL)

    async def closed(self) -> None:
        """Wait until no connection is at work."""
        await self._none_busy.wait()

    def watch(self, connection: _Connection) -> None:
        """Look after the silence of an open stream."""
        self._watched.add(connection)
        if self._sweep is None:
            self._look()

    def unwatch(self, connection: _Connection) -> None:
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


class _Connection:
    """One WebSocket. States: accepted -> (refused | open -> ended) -> closed.

    While it is open it is a `Sink`: the transport calls it with each message, the hub with each answer, and its
    coroutine does nothing but wait for the end.
    """

    def __init__(self, shell: SocketShell, websocket: WebSocket, transport: StreamTransport) -> None:
        self._shell = shell
        self._websocket = websocket
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._handle: Handle | None = None
        self._block = False
        self._close_code = NORMAL
        self._last_of_all = False
        """No message follows those that are on their way."""
        self._end: asyncio.Future[_End] = self._loop.create_future()
        self._drained: asyncio.Future[None] | None = None
        self._writable_s = 0.0
        """Since when the inbox has had room, if it was full."""

    async def run(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            # Accept first: a browser cannot read why a handshake was refused.
            await self._websocket.accept()
            try:
                start = await self._receive_start()
            except ServiceError as error:
                await self._refuse(error)
                return
            with self._shell.busy():
                self._transport.direct(self)
                try:
                    handle = self._shell.hub.open(start, self._post, write=self._write)
                except ServiceError as error:
                    await self._refuse(error)
                    return
                with stream_context(handle.stream):
                    await self._run_stream(handle, start)

    async def _refuse(self, error: ServiceError) -> None:
        log.info("stream refused: %s", error, extra={"code": error.code})
        self._transport.resume()
        await self._part(error)

    async def _receive_start(self) -> Start:
        try:
            async with asyncio.timeout(self._shell.idle_timeout_s):
                data = await self._receive()
        except TimeoutError:
            raise IdleTimeout(f"no start within {self._shell.idle_timeout_s:g} s") from None
        try:
            message = decode(data)
        except ServiceError as error:
            if error.close is not None:
                raise
            message = None
        if not isinstance(message, Start):
            raise OutOfOrder("the first message of a stream is start")
        return message

    async def _receive(self) -> str | bytes:
        """The next message's payload. Raises WebSocketDisconnect."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
        text: str | None = message.get("text")
        return text if text is not None else message["bytes"]

    async def _run_stream(self, handle: Handle, start: Start) -> None:
        log.info("stream opened", extra={"bundle": handle.spec.name, "policy": start.policy})
        self._handle, self._block = handle, start.policy == "block"
        self._shell.watch(self)
        self._transport.resume()
        cause = "cancelled"
        error: ServiceError | None = None
        try:
            end = await self._end
            cause, error = (end, None) if isinstance(end, str) else (end.code, end)
        finally:
            self._shell.unwatch(self)
            handle.close(cause)
            self._transport.resume()  # to hear the client's close behind messages that nobody needs any more
            log.info("stream closed: %s", cause)
        if cause == "summary":
            await self._websocket.close(self._close_code)
        elif error is not None:
            await self._part(error)

    # -- in ---------------------------------------------------------------------------------------------------------
    def message(self, data: str | bytes) -> bool:
        """Take one message (`Sink`)."""
        handle = self._handle
        if handle is None or self._end.done():
            return False
        try:
            try:
                handle.receive(decode(data))
            except ServiceError as error:
                if error.close is not None:
                    raise
                handle.refuse(error)
        except ServiceError as error:
            self._ended(error)
        except Exception:  # a defect in this stream's path: it ends, the others go on
            log.exception("a stream failed", extra={"stream": handle.stream})
            self._ended(Internal("the server failed; the operator finds the cause in its log"))
        if self._block and handle.full:
            handle.call_when_writable(self._read_on)
            return True
        return False

    def gone(self) -> None:
        """The client went away (`Sink`)."""
        self._ended("disconnected")

    def check_silence(self, now_s: float) -> None:
        """End a stream whose client has said nothing for too long."""
        limit_s = self._shell.idle_timeout_s
        handle = self._handle
        if handle is None or (self._block and handle.full):  # it waits for us
            return
        if now_s - max(handle.heard_s, self._writable_s) >= limit_s:
            self._ended(IdleTimeout(f"no message for {limit_s:g} s"))

    def _read_on(self) -> None:
        self._writable_s = time.monotonic()
        self._transport.resume()

    # -- out --------------------------------------------------------------------------------------------------------
    def _post(self, message: Outgoing) -> None:
        """The stream's outbox, called by the hub: never blocks."""
        if isinstance(message, ErrorMessage):
            if message.code == Draining.code:
                self._close_code = RESTART
            elif message.code == Internal.code:  # a defect ended the stream: no summary follows
                self._close_code = BROKEN
                self._last_of_all = True
        elif isinstance(message, Summary):
            self._last_of_all = True
        self._write(encode(message))
        if self._last_of_all and not self._transport.unsent:
            self._ended("summary")

    def _write(self, data: str | bytes) -> None:
        """Send one message, for predictions without the detour of `_post`."""
        if self._transport.write(data) > self._shell.outbox:
            self._ended(SlowReader(f"{self._shell.outbox} messages wait for this client to read them"))

    def drained(self) -> None:
        """All that was said has gone to the socket (`Sink`)."""
        if self._last_of_all:
            self._ended("summary")
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _ended(self, how: _End) -> None:
        """The stream ends in this way, if it has not ended in another."""
        if not self._end.done():
            self._end.set_result(how)

    async def _part(self, error: ServiceError) -> None:
        """Send what waits, then why the stream ends, then close. Raises WebSocketDisconnect."""
        self._shell.metrics.errors[error.code] += 1
        if self._transport.unsent and not isinstance(error, SlowReader):
            self._drained = self._loop.create_future()
            await asyncio.wait([self._drained], timeout=FLUSH_S)
        self._transport.forget_unsent()
        await _say_why(self._websocket, error)


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


def _transport(websocket: WebSocket) -> StreamTransport:
    """The connection below. Raises WebSocketDisconnect when it is lost, Internal when it is not one of ours."""
    extension = websocket.scope.get("extensions", {}).get(EXTENSION)
    if extension is None:
        raise Internal(
            "this server was started without the transport that streams need: use inkling serve, or uvicorn with "
            "--ws inkling.service.websocket.transport:StreamTransport"
        )
    if not extension:
        raise WebSocketDisconnect(1006)
    transport: StreamTransport = extension["connection"]
    return transport


async def _say_why(websocket: WebSocket, error: ServiceError) -> None:
    """Tell a client why it is parted with, and close. Raises WebSocketDisconnect."""
    with contextlib.suppress(Internal):  # another server's transport waits for the client to read
        _transport(websocket).unblock()
    await websocket.send_text(encode(error_message(error)))
    await websocket.close(error.close or NORMAL, error.code)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
