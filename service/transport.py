"""uvicorn's WebSocket transport, made to end connections well.

Three things differ from the protocol it extends. A client that does not read is closed nevertheless: uvicorn waits for
room in the socket first, and so for ever. A message over the limit is answered with our typed error before close 1009,
and the rest of it is read and thrown away for a moment, because closing a socket with unread data would destroy that
answer on its way. And a client that does not answer our close is cut off after `LINGER_S`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Close, CloseCode, Frame, Opcode

from service.errors import BadMessage, ServiceError, TooLarge
from service.protocol import encode, error_message

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent
    from websockets.http11 import Request

LINGER_S = 5.0
"""Seconds that a client gets to read what is on its way and to answer our close."""

UNBLOCK = "inkling.unblock"
"""Key of the ASGI extension with one callable: from now on, send without waiting for the client to read."""


class StreamTransport(WebSocketsSansIOProtocol):
    """One WebSocket connection; made by uvicorn, which gets this class as `Config(ws=…)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusing = False

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # else it was no WebSocket handshake, and is answered
            self.scope["extensions"][UNBLOCK] = {"call": self.writable.set}

    async def send(self, message: ASGISendEvent) -> None:
        if self._refusing or (self.handshake_complete and self.close_sent):
            raise ClientDisconnected
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(LINGER_S, self._abort)

    def data_received(self, data: bytes) -> None:
        if not self._refusing:
            super().data_received(data)

    def handle_close(self, event: Frame) -> None:
        super().handle_close(event)
        self.close_sent = True  # the answer to it is; without this a shutdown of the server would try to close again
        if self.transport.get_write_buffer_size():  # close() waits until the client has read it, abort() does not
            self.loop.call_later(LINGER_S, self.transport.abort)

    def handle_parser_exception(self) -> None:
        """The client broke the WebSocket protocol, sent text that is not UTF-8, or more than `ws_max_size` bytes."""
        close = self.conn.close_sent or Close(CloseCode.PROTOCOL_ERROR, "")
        error: ServiceError = BadMessage(f"not a WebSocket message: {close.reason or 'text that is not UTF-8'}")
        if close.code == TooLarge.close:
            error = TooLarge(f"a message may have at most {self.config.ws_max_size} bytes")
        self._refusing = self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(_text_frame(error) + b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_S, self._abort)

    def _abort(self) -> None:
        self.close_timer = None
        self.transport.abort()


def _text_frame(error: ServiceError) -> bytes:
    return Frame(Opcode.TEXT, encode(error_message(error)).encode()).serialize(mask=False)
