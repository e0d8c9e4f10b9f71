"""One HTTP connection of the server: uvicorn's, on h11, with bounds on what a client may hold up and for how long.

h11 refuses a head that grows beyond `MAX_HEAD` bytes; httptools, uvicorn's faster parser, takes it without an end and
in quadratic time. Added here: a head must be complete within `HEAD_S`, a body must keep coming, an answer must be read,
and of too many connections the one that is needed least gives way. HTTP carries clips and questions; the streams leave
it with their first request, so its parser's speed matters little.

uvicorn is capped below its next minor version: `conn`, `cycle` and `flow` are its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from inkling.service.patience import UNREAD_S, Timer, Unread

MAX_HEAD = 32 * 1024
"""Bytes of a request's first line and headers together."""
HEAD_S = 10.0
"""Seconds from a connection's or a request's first byte to the end of its head."""
BODY_S = 10.0
"""Seconds in which at least `BODY_BYTES` of a body must come, while the server reads."""
BODY_BYTES = 4096
LEFTOVER_S = 5.0
"""Seconds in which the rest of a body must come that was answered before its end."""

_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedConnection(H11Protocol):
    """Made by uvicorn, which gets this class, or what `bounded` makes of it, as `Config(http=…)`."""

    head_s = HEAD_S
    body_s = BODY_S
    leftover_s = LEFTOVER_S
    unread_s = UNREAD_S
    max_connections: int | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refused = False  # there were too many connections
        self._watch: Timer | None = None
        self._watched: object = None  # what the timer is for: a state of h11
        self._arrived = 0
        """Bytes since the body was last looked at."""
        self._unread: Unread | None = None
        self.quiet_since_s = self.loop.time()
        """When the last byte came."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        full = self.max_connections is not None and len(self.connections) >= self.max_connections
        if full and not self._evict():
            self._refused = True
            transport.write(_FULL)
            transport.close()
            return
        super().connection_made(transport)
        self._unread = Unread(self.loop, transport, transport.abort, self.unread_s)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if not self._refused:
            if self._unread is not None:
                self._unread.end()
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused or self.transport.is_closing():
            return
        self._arrived += len(data)
        self.quiet_since_s = self.loop.time()
        super().data_received(data)
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is not None:
            self._unread.begin()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.end()
        super().resume_writing()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY:  # answered before its end: of the rest nobody reads a byte
            self._stop()
            self._watched = h11.DONE
            self._watch = Timer(self.loop, self.leftover_s, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP. uvicorn fails when an answer is under way, and so does the application's after it."""
        answering = self.cycle is not None and not self.cycle.response_complete
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()
        if answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._stop()
        if self._unread is not None:
            self._unread.end()
        super().handle_websocket_upgrade(event)
        early, _closed = self.conn.trailing_data
        if early and not self.transport.is_closing():  # uvicorn would lose it
            self.transport.get_protocol().data_received(early)  # type: ignore[attr-defined]

    @property
    def place(self) -> int | None:
        """How soon this connection gives its place to a newcomer, the lowest first; None: it does not.

        0: no request is under way, and half a head is none. 1: a WebSocket without a stream (`place_of`).
        2: a body is still to come.
        """
        if self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete):
            return 0
        return 2 if self.conn.their_state is h11.SEND_BODY else None

    def _evict(self) -> bool:
        """Close the connection that is needed least, of several such the one that is quiet for longest; whether there
        was one."""
        others: set[Any] = self.connections
        rows = [(place_of(other), other) for other in others]
        least = min(
            ((place, other.quiet_since_s, id(other), other) for place, other in rows if place is not None), default=None
        )
        if least is not None:
            least[-1].transport.abort()
        return least is not None

    def _look(self) -> None:
        """Have a timer for what is still to come, and none when nothing is."""
        state = self.conn.their_state
        upgraded = self not in self.connections
        if self._watched is h11.DONE and state is h11.SEND_BODY and not self.transport.is_closing():
            return  # the rest of a body that is answered already
        if upgraded or self.transport.is_closing() or state not in (h11.IDLE, h11.SEND_BODY):
            self._stop()
        elif state is not self._watched:
            self._stop()
            self._watched = state
            self._arrived = 0
            self._watch = Timer(self.loop, self.head_s if state is h11.IDLE else self.body_s, self._late)

    def _late(self) -> None:
        """The time is over: for a head, or for a part of a body."""
        if self._watched is h11.SEND_BODY and (self._arrived >= BODY_BYTES or self.flow.read_paused):
            self._arrived = 0
            self._watch = Timer(self.loop, self.body_s, self._late)
        else:
            self._stop()
            self.transport.abort()

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._watched = None


def place_of(connection: Any) -> int | None:
    """`BoundedConnection.place` of any connection of the server."""
    if connection.transport.is_closing():
        return None
    if isinstance(connection, BoundedConnection):
        return connection.place
    return None if getattr(connection, "admitted", True) else 1


def bounded(max_connections: int) -> type[BoundedConnection]:
    """The class for a server that holds so many connections, streams included."""
    return type("BoundedConnection", (BoundedConnection,), {"max_connections": max_connections})
