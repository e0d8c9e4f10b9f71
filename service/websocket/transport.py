"""uvicorn's WebSocket transport, made to end connections well, and with a short way for streams.

Three things differ from the protocol it extends. A client that does not read is closed nevertheless: uvicorn waits for
room in the socket first, and so for ever. A message over the limit is answered with our typed error before close 1009,
and the rest of it is read and thrown away for a moment, because closing a socket with unread data would destroy that
answer on its way. And a client that does not answer our close is cut off after `LINGER_S`.

The short way: once `direct` was called, messages go from the socket to a `Sink` in plain calls, and `write` hands
frames to the socket without waiting. Between them and the stream there is no queue, no task and no wake-up; what one
connection has to say in one turn of the event loop leaves in one system call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, cast

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Close, CloseCode, Frame

from inkling.service.protocol.codec import encode, error_message
from inkling.service.protocol.errors import BadMessage, ServiceError, TooLarge
from inkling.service.websocket.framing import Entry, Splitter, Unusual, binary_frame, text_frame

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
    from websockets.http11 import Request

LINGER_S = 5.0
"""Seconds that a client gets to read what is on its way and to answer our close."""

FAIR = 32
"""Messages of one client that are taken in one go when they are already there, before others have their turn."""

MANY = 64
"""Frames of one client that wait for the end of the turn at most."""

EXTENSION = "inkling.transport"
"""Key of the ASGI extension that holds the connection's `StreamTransport`."""


class Sink(Protocol):
    """Who gets the messages of a connection. Called on the event loop; must not block or raise."""

    def message(self, data: str | bytes, /) -> bool:
        """Take one message. True: no more before `StreamTransport.resume`."""

    def gone(self) -> None:
        """The client went away, or the connection was given up. May come more than once."""

    def drained(self) -> None:
        """What waited for the client to read has gone to the socket."""


class Turn:
    """The connections of a server that have something to say in this turn of the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._speakers: list[StreamTransport] = []

    def add(self, transport: StreamTransport) -> None:
        """Call its `flush` when the turn is over."""
        if not self._speakers:
            self._loop.call_soon(self._flush)
        self._speakers.append(transport)

    def _flush(self) -> None:
        speakers, self._speakers = self._speakers, []
        for transport in speakers:
            transport.flush()


class StreamTransport(WebSocketsSansIOProtocol):
    """One WebSocket connection; made by uvicorn, which gets this class as `Config(ws=…)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refusing = False
        self._splitter = Splitter(self.config.ws_max_size)
        self._sink: Sink | None = None
        self._held_up = False  # the sink takes nothing now
        self._backlog: deque[Entry] = deque()  # arrived, not taken
        self._unsent: deque[bytes] = deque()  # frames for which the socket has no room
        self._early = b""
        self._out: list[bytes] = []  # frames of this turn
        # One for all connections of the server.
        self._turn: Turn = vars(kwargs["server_state"]).setdefault("inkling_turn", Turn(self.loop))

    # -- the short way ----------------------------------------------------------------------------------------------
    def direct(self, sink: Sink) -> None:
        """Give every message from now on to `sink`, beginning with `resume`. ASGI's receive gets none of them."""
        self._sink = sink
        self._held_up = True
        while not self.queue.empty():
            event = cast(dict[str, Any], self.queue.get_nowait())
            if event["type"] == "websocket.disconnect":
                self.loop.call_soon(sink.gone)
            else:
                text = event.get("text")
                self._backlog.append(event["bytes"] if text is None else text)

    def resume(self) -> None:
        """The sink takes messages again."""
        if self._held_up:
            self._held_up = False
            if self._backlog:
                self.loop.call_soon(self._continue)
            else:
                self._read_on()

    @property
    def unsent(self) -> int:
        """Messages that wait for the client to read."""
        return len(self._unsent)

    def forget_unsent(self) -> None:
        """Throw away what waits for the client to read."""
        self._unsent.clear()

    def write(self, message: str | bytes) -> int:
        """Send one message, or keep it while the client does not read. Returns how many are kept."""
        frame = text_frame(message.encode()) if isinstance(message, str) else binary_frame(message)
        if self._unsent or not self.writable.is_set():
            self._unsent.append(frame)
        elif not (self.disconnected or self.close_sent):
            if not self._out:
                self._turn.add(self)
            self._out.append(frame)
            if len(self._out) >= MANY:
                self.flush()
            return 0
        return len(self._unsent)

    def flush(self) -> None:
        """Hand this turn's frames to the socket."""
        out = self._out
        if out:
            self._out = []
            if not self.disconnected:
                self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def unblock(self) -> None:
        """From now on, send without waiting for the client to read."""
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        if not self.handshake_complete:
            if self.handshake_initiated:  # it should have waited for our answer to the handshake
                self._early += data
                self._pause()
            else:
                super().data_received(data)
            return
        if self._refusing:
            return
        entries = self._splitter.feed(data)
        sink = self._sink
        if sink is None:
            for entry in entries:
                self._pass_on(entry)
            return
        if self._held_up or self._backlog:  # reading is on its way to pause, or to go on
            self._backlog.extend(entries)
            self._pause()
            return
        if len(entries) > FAIR:
            self._backlog.extend(entries)
            self._pause()
            self._continue()
            return
        for at, entry in enumerate(entries):
            if type(entry) is Unusual:
                self._parse(entry)
            elif not self.close_sent:
                self._held_up = sink.message(entry)
            if self._held_up:
                self._backlog.extend(entries[at + 1 :])
                return

    def _continue(self) -> None:
        """Take some of what has waited."""
        for _ in range(FAIR):
            if not self._backlog or self._held_up or self._sink is None:
                break
            entry = self._backlog.popleft()
            if type(entry) is Unusual:
                self._parse(entry)
            elif not self.close_sent:
                self._held_up = self._sink.message(entry)
        if self._held_up:
            return
        if self._backlog:
            self.loop.call_soon(self._continue)
        else:
            self._read_on()

    def _pass_on(self, entry: Entry) -> None:
        """Without a sink: to whoever awaits ASGI's receive."""
        if type(entry) is Unusual:
            self._parse(entry)
        elif not self.close_sent:
            kind = "text" if isinstance(entry, str) else "bytes"
            self.queue.put_nowait(cast("ASGIReceiveEvent", {"type": "websocket.receive", kind: entry}))
            self._pause()

    def _parse(self, frame: Unusual) -> None:
        if not self._refusing:
            super().data_received(frame)

    def _pause(self) -> None:
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def _read_on(self) -> None:
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def send_receive_event_to_app(self) -> None:
        """A message of several fragments is whole, or one of text is not UTF-8."""
        if self._sink is None:
            super().send_receive_event_to_app()
            return
        data, self.frames = b"".join(self.frames), []
        if self.close_sent:
            return
        try:
            entry = data if self.curr_msg_data_type == "bytes" else data.decode()
        except UnicodeDecodeError:
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            self._held_up = self._sink.message(entry)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.flush()
        while self._unsent and self.writable.is_set():
            self.transport.write(self._unsent.popleft())
        if self._sink is not None and not self._unsent:
            self._sink.drained()

    # -- how it ends ------------------------------------------------------------------------------------------------
    def _gone(self) -> None:
        self._unsent.clear()
        self._backlog.clear()
        if self._sink is not None:
            self._sink.gone()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # else it was no WebSocket handshake, and is answered
            self.scope["extensions"][EXTENSION] = {"connection": self}

    async def send(self, message: ASGISendEvent) -> None:
        if self._refusing or (self.handshake_complete and self.close_sent):
            raise ClientDisconnected
        self.flush()
        if message["type"] == "websocket.close":
            self.writable.set()
        await super().send(message)
        if self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(LINGER_S, self._abort)
        if self._early and self.handshake_complete:
            early, self._early = self._early, b""
            self._read_on()
            self.data_received(early)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._gone()
        self._sink = None  # the two know each other, and so do this and its scope: spare the garbage collector the ring
        if self.handshake_initiated:
            self.scope["extensions"][EXTENSION] = {}

    def shutdown(self) -> None:
        self.flush()
        super().shutdown()
        self._gone()

    def handle_close(self, event: Frame) -> None:
        self.flush()
        super().handle_close(event)
        self.close_sent = True  # the answer to it is; without this a shutdown of the server would try to close again
        if self.transport.get_write_buffer_size():  # close() waits until the client has read it, abort() does not
            self.loop.call_later(LINGER_S, self.transport.abort)
        self._gone()

    def handle_parser_exception(self) -> None:
        """The client broke the WebSocket protocol, sent text that is not UTF-8, or more than `ws_max_size` bytes."""
        close = self.conn.close_sent or Close(CloseCode.PROTOCOL_ERROR, "")
        error: ServiceError = BadMessage(f"not a WebSocket message: {close.reason or 'text that is not UTF-8'}")
        if close.code == TooLarge.close:
            error = TooLarge(f"a message may have at most {self.config.ws_max_size} bytes")
        self.flush()
        self._refusing = self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": close.code, "reason": close.reason})
        self.transport.write(text_frame(encode(error_message(error)).encode()) + b"".join(self.conn.data_to_send()))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._read_on()
        self.close_timer = self.loop.call_later(LINGER_S, self._abort)
        self._gone()

    def _abort(self) -> None:
        self.close_timer = None
        self.transport.abort()
