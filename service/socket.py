"""The WebSocket shell of `/v1/stream`, and of those who follow a stream: the only file that touches a WebSocket.

It moves messages and owns no meaning.

Three tasks to a stream: a reader (socket -> protocol -> hub), a writer (outbox -> socket) and a watch on silence. The
first of them to end, or an outbox that overflows, ends the stream: the hub forgets it at once, and only then the client
is told, however slowly it reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Iterator

from starlette.websockets import WebSocket, WebSocketDisconnect

from service.errors import Draining, IdleTimeout, Internal, OutOfOrder, ServiceError, SlowReader
from service.followers import Follower
from service.hub import Handle, Hub
from service.logs import stream_context
from service.metrics import Metrics
from service.protocol import ErrorMessage, Outgoing, Start, Summary, decode, encode, error_message
from service.transport import UNBLOCK

log = logging.getLogger(__name__)

FLUSH_S = 2.0
"""Seconds that the messages before a closing error get to be written."""

FAIR = 32
"""Messages that a reader takes in one go when they are already there, before others have their turn."""

NORMAL, BROKEN, RESTART = 1000, 1011, 1012


class SocketShell:
    """Serves streams over WebSockets, and knows how many are at work."""

    def __init__(self, hub: Hub, metrics: Metrics, idle_timeout_s: float = 60.0, outbox: int = 1024) -> None:
        """outbox: messages that may wait for one client. idle_timeout_s: silence after which a stream ends."""
        self.hub = hub
        self.metrics = metrics
        self.idle_timeout_s = idle_timeout_s
        self.outbox = outbox
        self.at_work = 0
        """Connections with a stream, or with an answer to their `start`, that is still to be sent."""
        self._none_busy = asyncio.Event()
        self._none_busy.set()

    async def serve(self, websocket: WebSocket) -> None:
        """One connection from its handshake to its close. Raises nothing but cancellation."""
        await _Connection(self, websocket).run()

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
    """One WebSocket. States: accepted -> (refused | open -> ended) -> closed."""

    def __init__(self, shell: SocketShell, websocket: WebSocket) -> None:
        self._shell = shell
        self._websocket = websocket
        self._outbox: deque[Outgoing] = deque()
        self._wake = asyncio.Event()
        self._overflow = asyncio.Event()
        self._last_of_all = False
        """No message follows those in the outbox."""
        self._close_code = NORMAL
        self._reading_since_s: float | None = None
        """Since when the reader has waited for the client; None while it waits for the server itself."""

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
                try:
                    handle = self._shell.hub.open(start, self._post)
                except ServiceError as error:
                    await self._refuse(error)
                    return
                with stream_context(handle.stream):
                    await self._run_stream(handle, start)

    async def _refuse(self, error: ServiceError) -> None:
        log.info("stream refused: %s", error, extra={"code": error.code})
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

    async def _run_stream(self, handle: Handle, start: Start) -> None:
        log.info("stream opened", extra={"bundle": handle.spec.name, "policy": start.policy})
        writer = asyncio.create_task(self._write())
        others = [
            asyncio.create_task(self._read(handle, block=start.policy == "block")),
            asyncio.create_task(self._watch_silence()),
            asyncio.create_task(self._watch_overflow()),
        ]
        cause = "cancelled"
        error: ServiceError | None = None
        try:
            done, _ = await asyncio.wait([writer, *others], return_when=asyncio.FIRST_COMPLETED)
            # Several may be done at once; a stream whose summary is out has ended in order, whatever else happened.
            first = next(task for task in [writer, *others] if task in done)
            cause, error = _outcome(first)
        finally:
            handle.close(cause)
            await _cancel(others)
            if error is None or isinstance(error, SlowReader):
                await _cancel([writer])
            log.info("stream closed: %s", cause)
        if cause == "summary":
            await self._websocket.close(self._close_code)
        elif error is not None:
            await self._part(error, writer)

    def _post(self, message: Outgoing) -> None:
        """The stream's outbox, called by the hub: never blocks."""
        self._outbox.append(message)
        self._wake.set()
        if len(self._outbox) > self._shell.outbox:
            self._overflow.set()
        if isinstance(message, ErrorMessage):
            if message.code == Draining.code:
                self._close_code = RESTART
            elif message.code == Internal.code:  # a defect ended the stream: no summary follows
                self._close_code = BROKEN
                self._last_of_all = True

    async def _receive(self) -> str | bytes:
        """The next message's payload. Raises WebSocketDisconnect."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
        text: str | None = message.get("text")
        return text if text is not None else message["bytes"]

    async def _read(self, handle: Handle, *, block: bool) -> None:
        loop = asyncio.get_running_loop()
        taken = 0
        while True:
            self._reading_since_s = loop.time()
            data = await self._receive()
            self._reading_since_s = None
            try:
                handle.receive(decode(data))
            except ServiceError as error:
                if error.close is not None:
                    raise
                handle.refuse(error)
            if block:
                await handle.writable()
            taken += 1
            if taken % FAIR == 0 or len(self._outbox) > self._shell.outbox // 2:
                await asyncio.sleep(0)

    async def _write(self) -> None:
        """Send what is in the outbox. Ends after the summary, or when the last of all messages is sent."""
        while True:
            while self._outbox:
                message = self._outbox.popleft()
                await self._websocket.send_text(encode(message))
                if isinstance(message, Summary):
                    return
            if self._last_of_all:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _watch_silence(self) -> None:
        loop = asyncio.get_running_loop()
        limit_s = self._shell.idle_timeout_s
        while True:
            since_s = loop.time() if self._reading_since_s is None else self._reading_since_s
            left_s = since_s + limit_s - loop.time()
            if left_s <= 0:
                raise IdleTimeout(f"no message for {limit_s:g} s")
            await asyncio.sleep(left_s)

    async def _watch_overflow(self) -> None:
        await self._overflow.wait()
        raise SlowReader(f"{self._shell.outbox} messages wait for this client to read them")

    async def _part(self, error: ServiceError, writer: asyncio.Task[None] | None = None) -> None:
        """Send what waits, then why the stream ends, then close. Raises WebSocketDisconnect."""
        self._shell.metrics.errors[error.code] += 1
        self._last_of_all = True
        self._wake.set()
        if writer is not None and not writer.done():
            await asyncio.wait([writer], timeout=FLUSH_S)
            await _cancel([writer])
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


async def _say_why(websocket: WebSocket, error: ServiceError) -> None:
    """Tell a client why it is parted with, and close. Raises WebSocketDisconnect."""
    if unblock := websocket.scope.get("extensions", {}).get(UNBLOCK):
        unblock["call"]()
    await websocket.send_text(encode(error_message(error)))
    await websocket.close(error.close or NORMAL, error.code)


def _outcome(task: asyncio.Task[None]) -> tuple[str, ServiceError | None]:
    """Why a stream ended, judged by the task that ended first: a cause for the log, and what to tell the client."""
    error = task.exception()
    match error:
        case None:
            return "summary", None
        case WebSocketDisconnect():
            return "disconnected", None
        case ServiceError():
            return error.code, error
        case _:
            log.error("a stream failed", exc_info=error)
            return Internal.code, Internal("the server failed; the operator finds the cause in its log")


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
