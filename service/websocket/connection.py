"""One WebSocket with one stream: it moves messages and owns no meaning.

The first thing to end a stream does: a message, a silence, too many answers that the client does not read. Then the hub
forgets the stream, and only then the client is told, however slowly it reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import TYPE_CHECKING

from starlette.websockets import WebSocket, WebSocketDisconnect

from inkling.service.access.roles import Identity, Role
from inkling.service.logs import stream_context
from inkling.service.patience import patience
from inkling.service.protocol.codec import ErrorMessage, Outgoing, Start, Summary, Token, decode, encode
from inkling.service.protocol.errors import Draining, IdleTimeout, Internal, OutOfOrder, ServiceError, SlowReader
from inkling.service.streams.admitted_stream import AdmittedStream
from inkling.service.websocket.closing import BROKEN, NORMAL, RESTART, send_and_close
from inkling.service.websocket.identity import chosen_subprotocol, identify, identity_of
from inkling.service.websocket.transport import StreamTransport

if TYPE_CHECKING:
    from inkling.service.websocket.endpoint import StreamEndpoint

log = logging.getLogger(__name__)

START_S = 10.0
"""Seconds from the handshake to `start`; nothing else counts as life before it."""

FLUSH_S = 2.0
"""Seconds that the messages before a closing error get to be written."""

_End = str | ServiceError
"""How a stream ended: a cause for the log, or what to tell the client."""


class StreamConnection:
    """One WebSocket. States: accepted -> (refused | open -> ended) -> closed.

    While it is open it is a `Sink`: the transport calls it with each message, the stream writes its answers to the
    transport, and the coroutine of the connection does nothing but wait for the end.
    """

    def __init__(self, endpoint: StreamEndpoint, websocket: WebSocket, transport: StreamTransport) -> None:
        self._endpoint = endpoint
        self._websocket = websocket
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._stream: AdmittedStream | None = None
        self._block = False
        self._close_code = NORMAL
        self._nothing_follows = False
        """No message follows those that are on their way."""
        self._end: asyncio.Future[_End] = self._loop.create_future()
        self._sent: asyncio.Future[None] | None = None
        self._sender: Identity | None = None
        """The token that bytes count for, where there is a quota of them."""
        self._writable_s = 0.0
        """Since when the inbox has had room, if it was full."""

    async def run(self) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            # Accept first: a browser cannot read why a handshake was refused.
            await self._websocket.accept(subprotocol=chosen_subprotocol(self._websocket))
            quotas = self._endpoint.access.quotas
            try:
                identity, start = await self._receive_start()
                quotas.open_stream(identity)
            except ServiceError as error:
                await self._refuse(error)
                return
            self._sender = identity if quotas.limits_bytes(identity) else None
            with self._endpoint.busy(), quotas.stream_of(identity):
                self._transport.deliver_to(self, self._endpoint.outbox, self._endpoint.hub.memory.share("images"))
                try:
                    stream = self._endpoint.hub.open(
                        start, self._send, write=self._transport.write, quota=quotas.people_of(identity)
                    )
                except ServiceError as error:
                    await self._refuse(error)
                    return
                with stream_context(stream.stream):
                    await self._run_stream(stream, start)

    async def _refuse(self, error: ServiceError) -> None:
        log.info("stream refused: %s", error, extra={"code": error.code})
        self._transport.resume()
        await self._close_with(error)

    async def _receive_start(self) -> tuple[Identity, Start]:
        """Who that is, and what it wants. A token may come first, and must where the handshake brought none."""
        message = await self._receive_decoded()
        identity = identity_of(self._websocket)
        if identity is None:
            identity = identify(self._websocket, self._endpoint.access.gate, message, Role.STREAM)
        if isinstance(message, Token):
            message = await self._receive_decoded()
        if not isinstance(message, Start):
            raise OutOfOrder("the first message of a stream is start")
        return identity, message

    async def _receive_decoded(self) -> object:
        limit_s = min(self._endpoint.start_s, self._endpoint.idle_timeout_s)
        try:
            async with patience(limit_s):
                data = await self._receive()
        except TimeoutError:
            raise IdleTimeout(f"no start within {limit_s:g} s of connecting") from None
        try:
            message = decode(data, self._endpoint.max_text)
        except ServiceError as error:
            if error.close is not None:
                raise
            message = None
        return message

    async def _receive(self) -> str | bytes:
        """The next message's payload. Raises WebSocketDisconnect."""
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
        text: str | None = message.get("text")
        return text if text is not None else message["bytes"]

    async def _run_stream(self, stream: AdmittedStream, start: Start) -> None:
        log.info("stream opened", extra={"bundle": stream.spec.name, "policy": start.policy})
        self._stream, self._block = stream, start.policy == "block"
        self._endpoint.watch(self)
        self._transport.resume()
        cause = "cancelled"
        error: ServiceError | None = None
        try:
            end = await self._end
            cause, error = (end, None) if isinstance(end, str) else (end.code, end)
        finally:
            self._endpoint.unwatch(self)
            stream.close(cause)
            self._transport.resume()  # to hear the client's close behind messages that nobody needs any more
            log.info("stream closed: %s", cause)
        if cause == "summary":
            await self._websocket.close(self._close_code)
        elif error is not None:
            await self._close_with(error)

    # -- in ---------------------------------------------------------------------------------------------------------
    def message(self, data: str | bytes) -> bool:
        """Take one message (`Sink`)."""
        stream = self._stream
        if stream is None or self._end.done():
            return False
        try:
            try:
                stream.receive(decode(data, self._endpoint.max_text))
            except ServiceError as error:
                if error.close is not None:
                    raise
                stream.refuse(error)
        except ServiceError as error:
            self._end_with(error)
        except Exception:  # a defect in this stream's path: it ends, the others go on
            log.exception("a stream failed", extra={"stream": stream.stream})
            self._end_with(Internal("the server failed; the operator finds the cause in its log"))
        if self._block and stream.full:
            stream.call_when_writable(self._read_on)
            return True
        return self._sender is not None and self._over_quota(self._sender, len(data))

    def _over_quota(self, sender: Identity, count: int) -> bool:
        """Whether nothing more is read for now, because this token has sent more than it may in that time."""
        wait_s = self._endpoint.access.quotas.take_bytes(sender, count, self._loop.time())
        if wait_s:
            self._loop.call_later(wait_s, self._read_on)
        return wait_s > 0

    def gone(self) -> None:
        """The client went away (`Sink`)."""
        self._end_with("disconnected")

    def check_silence(self, now_s: float, attentive_s: float) -> None:
        """End a stream whose client has said nothing for too long. attentive_s: since when anybody would have heard."""
        limit_s = self._endpoint.idle_timeout_s
        stream = self._stream
        if stream is None or (self._block and stream.full):  # it waits for us
            return
        if now_s - max(stream.last_message_s, self._writable_s, attentive_s) >= limit_s:
            self._end_with(
                IdleTimeout(
                    f"no message for {limit_s:g} s, and pings are none: to stay, send a pose of nobody now and then "
                    "(keep_alive_s of our client does)"
                )
            )

    def _read_on(self) -> None:
        self._writable_s = time.monotonic()
        self._transport.resume()

    # -- out --------------------------------------------------------------------------------------------------------
    def _send(self, message: Outgoing) -> None:
        """The stream's outbox, for all but predictions, which go to the transport as they are."""
        if isinstance(message, ErrorMessage):
            if message.code == Draining.code:
                self._close_code = RESTART
            elif message.code == Internal.code:  # a defect ended the stream: no summary follows
                self._close_code = BROKEN
                self._nothing_follows = True
        elif isinstance(message, Summary):
            self._nothing_follows = True
        self._transport.write(encode(message))
        if self._nothing_follows and not self._transport.unsent:
            self._end_with("summary")

    def all_sent(self) -> None:
        """All that was said has gone to the socket (`Sink`)."""
        if self._nothing_follows:
            self._end_with("summary")
        if self._sent is not None and not self._sent.done():
            self._sent.set_result(None)

    def too_slow(self, why: str) -> None:
        """The client does not read (`Sink`)."""
        self._end_with(SlowReader(why))

    def _end_with(self, how: _End) -> None:
        """The stream ends in this way, if it has not ended in another."""
        if not self._end.done():
            self._end.set_result(how)

    async def _close_with(self, error: ServiceError) -> None:
        """Send what waits, then why the stream ends, then close. Raises WebSocketDisconnect."""
        self._endpoint.metrics.errors[error.code] += 1
        if self._transport.unsent and not isinstance(error, SlowReader):
            self._sent = self._loop.create_future()
            await asyncio.wait([self._sent], timeout=FLUSH_S)
        self._transport.forget_unsent()
        await send_and_close(self._websocket, error)
