"""How connections end: what we mend in uvicorn's WebSocket transport. Nothing here is for speed; see `transport`.

- A client that does not read is closed nevertheless. uvicorn waits for room in the socket first, and so for ever.
- A message over the limit is answered with our typed error before close 1009. uvicorn sends the close frame alone. The
  rest of the message is read and thrown away for a moment: closing a socket with unread data would destroy that answer
  on its way.
- A client that does not answer our close, or does not read it, is cut off after `LINGER_S`.
- What a client sends before its handshake is answered waits. uvicorn takes it for an error.
- A handshake that cannot be read is answered and closed. uvicorn keeps the connection and says nothing.
- Of the pings of a client that does not read only the last is answered, once it reads. uvicorn's answers pile up.

The methods and attributes that are used are private to uvicorn, so `pyproject.toml` caps it below the next minor
version, and `tests/service/websocket/test_uvicorn_repairs.py` looks for each of them in the installed one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Close, CloseCode, Frame

from inkling.service.protocol.codec import encode, error_message
from inkling.service.protocol.errors import BadMessage, ServiceError, TooLarge
from inkling.service.websocket.framing import text_frame

if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

LINGER_S = 5.0
"""Seconds that a client gets to read what is on its way and to answer our close."""

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class MendedProtocol(WebSocketsSansIOProtocol):
    """One WebSocket connection of uvicorn, which ends well."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.refusing = False
        """The client broke the protocol and is told so: whatever else it sends is thrown away."""
        self.refusal: ServiceError | None = None
        """What it was told."""
        self._before_handshake = b""
        self._pong = b""  # waits for the client to read

    def data_received(self, data: bytes) -> None:
        if self.handshake_initiated and not self.handshake_complete:  # it should have waited for our answer
            self._before_handshake += data
            self.pause_reading()
        elif not (self.refusing and self.handshake_complete):
            super().data_received(data)
            if not self.handshake_initiated and self.conn.handshake_exc is not None:
                self.transport.write(_BAD_REQUEST)
                self.transport.close()

    def handle_ping(self) -> None:
        self._pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self._answer_ping()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._answer_ping()

    def _answer_ping(self) -> None:
        if self._pong and not self.close_sent:
            self.transport.write(self._pong)
        self._pong = b""

    async def send(self, message: ASGISendEvent) -> None:
        if self.refusing or (self.handshake_complete and self.close_sent):
            raise ClientDisconnected
        if message["type"] == "websocket.close":
            self.unblock()
        await super().send(message)
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(LINGER_S, self._abort)
        if self._before_handshake and self.handshake_complete:
            data, self._before_handshake = self._before_handshake, b""
            self.resume_reading()
            self.data_received(data)

    def unblock(self) -> None:
        """From now on, send without waiting for the client to read."""
        self.writable.set()

    def handle_close(self, event: Frame) -> None:
        """The client closes."""
        super().handle_close(event)
        self.close_sent = True  # the answer to it is; without this a shutdown of the server would try to close again
        if self.transport.get_write_buffer_size():  # close() waits until the client has read it, abort() does not
            self.loop.call_later(LINGER_S, self.transport.abort)

    def handle_parser_exception(self) -> None:
        """The client broke the WebSocket protocol, sent text that is not UTF-8, or more than `ws_max_size` bytes."""
        close = self.conn.close_sent or Close(CloseCode.PROTOCOL_ERROR, "")
        if close.code == TooLarge.close:
            self.refuse(TooLarge(f"a message may have at most {self.config.ws_max_size} bytes"))
        else:
            self.refuse(BadMessage(f"not a WebSocket message: {close.reason or 'text that is not UTF-8'}"))

    def refuse(self, error: ServiceError) -> None:
        """Tell the client what it did wrong, close, and throw away whatever else it sends."""
        if self.refusing or self.transport.is_closing():
            return
        self.refusing = True
        if self.close_sent:  # it knows already, and the time for its answer runs
            return
        if self.conn.close_sent is None:
            self.conn.send_close(error.close or CloseCode.POLICY_VIOLATION, error.code)
        close = self.conn.close_sent or Close(CloseCode.PROTOCOL_ERROR, "")
        self.refusal, self.close_sent = error, True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(text_frame(encode(error_message(error)).encode()) + b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_S, self._abort)

    def pause_reading(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def _abort(self) -> None:
        self.close_timer = None
        self.transport.abort()
