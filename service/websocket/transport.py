"""The fast path of streams: messages between a socket and its stream in plain calls. Only for speed.

Once `deliver_to` was called, messages go from the socket to a `Sink`, and `write` hands frames to the socket, without
queue, task or wake-up between them. What one connection has to say in one turn of the event loop leaves in one system
call.

A message in and its answer out take 3.3 µs of the server's thread that way, the socket's system calls included, and
11.9 µs through ASGI's `receive` and `send` (`python -m tests.benchmarks.fast_paths`, eight messages under way, one core
of an AMD EPYC): 13 % of a core at 15,000 frames a second.

Like `uvicorn_repairs`, on which it stands, this uses attributes that are private to uvicorn; see there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, cast

from websockets.frames import CloseCode, Frame

from inkling.service.memory_account import Share
from inkling.service.patience import UNREAD_S, Unread
from inkling.service.protocol.errors import Flood, OverCapacity, ServiceError, TooLarge
from inkling.service.websocket.budget import Budget
from inkling.service.websocket.framing import Piece, Splitter, Unusual, binary_frame, text_frame
from inkling.service.websocket.large_turns import LargeTurns
from inkling.service.websocket.uvicorn_repairs import MendedProtocol

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent
    from websockets.http11 import Request

FREE = 128 * 1024
"""Bytes of an incomplete message that are not accounted for."""
FAIR = 32
"""Messages of one client that are taken in one go when they are already there, before others have their turn."""

MANY = 64
"""Frames of one client that wait for the end of the turn at most."""

MAX_FIRST = 64 * 1024
"""Bytes of a connection's first message, which is `start`; of whoever only listens: of all it sends."""

EXTENSION = "inkling.transport"
"""Key of the ASGI extension that holds the connection's `StreamTransport`."""


class Sink(Protocol):
    """Who gets the messages of a connection. Called on the event loop; must not block or raise."""

    def message(self, data: str | bytes, /) -> bool:
        """Take one message. True: no more before `StreamTransport.resume`."""

    def gone(self) -> None:
        """The client went away, or the connection was given up. May come more than once."""

    def all_sent(self) -> None:
        """What waited for the client to read has gone to the socket."""

    def too_slow(self, why: str, /) -> None:
        """The client does not read."""


class TurnEnd:
    """The connections of a server that have something to say when this turn of the event loop is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transports: list[StreamTransport] = []

    def add(self, transport: StreamTransport) -> None:
        """Call its `flush` when the turn is over."""
        if not self._transports:
            self._loop.call_soon(self._flush)
        self._transports.append(transport)

    def _flush(self) -> None:
        transports, self._transports = self._transports, []
        for transport in transports:
            transport.flush()


class StreamTransport(MendedProtocol):
    """One WebSocket connection; made by uvicorn, which gets this class as `Config(ws=…)`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._splitter = Splitter(self.config.ws_max_size, MAX_FIRST)
        self._budget = Budget()
        self._unread: Unread | None = None
        self._memory: Share | None = None
        self._holds = False  # something of `_memory`
        self._gathered = 0  # bytes of a message in fragments
        self._fragments = 0  # bytes of fragments before the first message was whole
        self.admitted = False
        """The connection has its stream: it gives no place to newcomers."""
        self.quiet_since_s = self.loop.time()
        """When the connection was made."""
        self._sink: Sink | None = None
        self._held_up = False  # the sink takes nothing now
        self._backlog: deque[Piece] = deque()  # arrived, not taken
        self._unsent: deque[bytes] = deque()  # frames for which the socket has no room
        self._most_unsent = 0
        self._out: list[bytes] = []  # frames of this turn
        # One for all connections of the server.
        shared = vars(kwargs["server_state"])
        self._turn_end: TurnEnd = shared.setdefault("inkling_turn_end", TurnEnd(self.loop))
        self._large_turns: LargeTurns = shared.setdefault("inkling_large_turns", LargeTurns(self.loop))

    # -- in -----------------------------------------------------------------------------------------------------------
    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:  # else it was no WebSocket handshake, and is answered
            self.scope["extensions"][EXTENSION] = {"connection": self}

    def deliver_to(self, sink: Sink, most_unsent: int, memory: Share) -> None:
        """Give every message from now on to `sink`, beginning with `resume`. ASGI's receive gets none of them.

        most_unsent: messages that may wait for the client to read before the sink hears that it is too slow.
        memory: for large messages that are not complete.
        """
        self._memory = memory
        self._sink = sink
        self.admitted = True
        self._most_unsent = most_unsent
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
                self.resume_reading()

    def data_received(self, data: bytes) -> None:
        if not self.handshake_complete:
            super().data_received(data)
            return
        if self.refusing:
            return
        splitter = self._splitter
        try:
            pieces = splitter.feed(data)
        except TooLarge as error:
            self.refuse(error)
            return
        if splitter.waiting > FREE or self._holds:
            if not self._hold():
                return
            if self._sink is not None:
                self.pause_reading()
                self._large_turns.wait(self)
        # After our close only the client's matters: whatever comes with it costs too.
        cost = len(pieces) if self.close_sent else splitter.trifles
        if cost and not self._budget.spend(cost, self.loop.time()):
            self.refuse(Flood("too many pings, empty messages or small fragments: send fewer"))
            return
        sink = self._sink
        if sink is None:
            for piece in pieces:
                self._to_application(piece)
            return
        if self._held_up or self._backlog:  # reading is on its way to pause, or to go on
            self._backlog.extend(pieces)
            self.pause_reading()
            return
        if len(pieces) > FAIR:
            self._backlog.extend(pieces)
            self.pause_reading()
            self._continue()
            return
        for at, piece in enumerate(pieces):
            if type(piece) is Unusual:
                self._parse(piece)
            elif not self.close_sent:
                self._held_up = sink.message(piece)
            if self._held_up:
                self._backlog.extend(pieces[at + 1 :])
                return

    def read_on(self) -> None:
        """The next piece of a large message may come."""
        if not (self._sink is None or self._held_up or self._backlog or self.transport.is_closing()):
            self.resume_reading()

    def _hold(self) -> bool:
        """Account for what has come of a large message. False: the connection is refused for want of memory."""
        if self._memory is None:
            return True
        try:
            self._memory.change(max(self._splitter.waiting + self._gathered - FREE, 0))
        except OverCapacity as error:
            self.refuse(error)
            return False
        self._holds = self._memory.bytes > 0
        return True

    def _continue(self) -> None:
        """Take some of what has waited."""
        for _ in range(FAIR):
            if not self._backlog or self._held_up or self._sink is None:
                break
            piece = self._backlog.popleft()
            if type(piece) is Unusual:
                self._parse(piece)
            elif not self.close_sent:
                self._held_up = self._sink.message(piece)
        if self._held_up:
            return
        if self._backlog:
            self.loop.call_soon(self._continue)
        else:
            self.resume_reading()

    def _to_application(self, piece: Piece) -> None:
        """Without a sink: to the application, which awaits ASGI's receive."""
        if type(piece) is Unusual:
            self._parse(piece)
        elif not self.close_sent:
            kind = "text" if isinstance(piece, str) else "bytes"
            self.queue.put_nowait(cast("ASGIReceiveEvent", {"type": "websocket.receive", kind: piece}))
            self.pause_reading()

    def _parse(self, frame: Unusual) -> None:
        """Leave a frame to the full parser."""
        if self.refusing:
            return
        if self._sink is None and not frame[0] & 0x08:
            self._fragments += len(frame)
            if self._fragments > MAX_FIRST:
                self.refuse(TooLarge(f"the first message of a connection may have at most {MAX_FIRST} bytes"))
                return
        if not frame[0] & 0x08:
            self._gathered += len(frame)
            if self._gathered > FREE and not self._hold():
                return
        super().data_received(frame)

    def send_receive_event_to_app(self) -> None:
        """A message of several fragments is whole, or one of text is not UTF-8."""
        data, self.frames = b"".join(self.frames), []
        self._gathered = 0
        if self._holds:
            self._hold()
        if self.close_sent:
            return
        try:
            message = data if self.curr_msg_data_type == "bytes" else data.decode()
        except UnicodeDecodeError:
            self.conn.send_close(CloseCode.INVALID_DATA)
            self.handle_parser_exception()
        else:
            if self._sink is None:
                self._to_application(message)
            else:
                self._held_up = self._sink.message(message)

    # -- out ----------------------------------------------------------------------------------------------------------
    @property
    def unsent(self) -> int:
        """Messages that wait for the client to read."""
        return len(self._unsent)

    def forget_unsent(self) -> None:
        """Throw away what waits for the client to read."""
        self._unsent.clear()

    def write(self, message: str | bytes) -> None:
        """Send one message, or keep it while the client does not read."""
        frame = text_frame(message.encode()) if isinstance(message, str) else binary_frame(message)
        if self._unsent or not self.writable.is_set():
            self._unsent.append(frame)
            if len(self._unsent) > self._most_unsent and self._sink is not None:
                self._sink.too_slow(f"{self._most_unsent} messages wait for this client to read them")
        elif not (self.disconnected or self.close_sent):
            if not self._out:
                self._turn_end.add(self)
            self._out.append(frame)
            if len(self._out) >= MANY:
                self.flush()

    def flush(self) -> None:
        """Hand this turn's frames to the socket."""
        out = self._out
        if out:
            self._out = []
            if not self.disconnected:
                self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = Unread(self.loop, self.transport, self._unread_for_long, UNREAD_S)
        self._unread.begin()

    def _unread_for_long(self) -> None:
        if self._sink is not None and not self.close_sent:
            self._sink.too_slow(f"this client has read nothing for {UNREAD_S:g} s")
        else:
            self.transport.abort()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.end()
        super().resume_writing()
        self.flush()
        while self._unsent and self.writable.is_set():
            self.transport.write(self._unsent.popleft())
        if self._sink is not None and not self._unsent:
            self._sink.all_sent()

    # -- the end: what was said before it leaves before it, and the sink is told ---------------------------------------
    async def send(self, message: ASGISendEvent) -> None:
        self.flush()
        await super().send(message)

    def handle_close(self, event: Frame) -> None:
        self.flush()
        super().handle_close(event)
        self._gone()

    def refuse(self, error: ServiceError) -> None:
        self.flush()
        super().refuse(error)
        self._splitter.forget()  # the client may take its time to close
        if self._memory is not None:
            self._memory.close()
        self._gone()

    def shutdown(self) -> None:
        self.flush()
        super().shutdown()
        self._gone()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._unread is not None:
            self._unread.end()
        super().connection_lost(exc)
        if self._memory is not None:
            self._memory.close()
        self._gone()
        self._sink = None  # the two know each other, and so do this and its scope: spare the garbage collector the ring
        if "scope" in vars(self):  # there was a handshake
            self.scope["extensions"][EXTENSION] = {}

    def _gone(self) -> None:
        self._unsent.clear()
        self._backlog.clear()
        if self._sink is not None:
            self._sink.gone()
