"""One HTTP connection of the server: uvicorn's, on h11, with bounds on what a sender may hold up and for how long.

h11 refuses a head that grows beyond `MAX_HEAD` bytes; httptools, uvicorn's faster parser, takes it without an end and
in quadratic time. Added here: a head must be complete within `HEAD_S`, a body must keep coming, and of too many
connections the one that has been idle for longest gives way. HTTP carries clips and questions; the streams leave it
with their first request, so its parser's speed matters little.

uvicorn is capped below its next minor version: `conn`, `cycle` and `flow` are its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEAD = 32 * 1024
"""Bytes of a request's first line and headers together."""
HEAD_S = 10.0
"""Seconds from a connection's or a request's first byte to the end of its head."""
BODY_S = 10.0
"""Seconds in which at least `BODY_BYTES` of a body must come, while the server reads."""
BODY_BYTES = 4096
MAX_CONNECTIONS = 1024
"""Connections at once, streams included; a newcomer takes the place of one that is idle."""


class BoundedConnection(H11Protocol):
    """Made by uvicorn, which gets this class as `Config(http=…)`. Its clock is the event loop's."""

    head_s = HEAD_S
    body_s = BODY_S
    max_connections = MAX_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refused = False  # there were too many connections
        self._watch: asyncio.TimerHandle | None = None
        self._watched: object = None  # the state of h11 that the timer is for
        self._arrived = 0
        """Bytes since the body was last looked at."""
        self.quiet_since_s = self.loop.time()
        """When the last byte came."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.max_connections and not self._evict():
            self._refused = True
            transport.abort()
            return
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        if not self._refused:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._arrived += len(data)
        self.quiet_since_s = self.loop.time()
        super().data_received(data)
        self._look()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._stop()
        super().handle_websocket_upgrade(event)

    @property
    def idle(self) -> bool:
        """Whether no request is under way; half a head is none."""
        return self.conn.their_state is h11.IDLE and (self.cycle is None or self.cycle.response_complete)

    def _evict(self) -> bool:
        """Close the connection that is idle for longest; whether there was one."""
        idle = [other for other in self.connections if isinstance(other, BoundedConnection) and other.idle]
        if not idle:
            return False
        oldest = min(idle, key=lambda other: other.quiet_since_s)
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _look(self) -> None:
        """Have a timer for what is still to come, and none when nothing is."""
        state = self.conn.their_state
        upgraded = self not in self.connections
        if upgraded or self.transport.is_closing() or state not in (h11.IDLE, h11.SEND_BODY):
            self._stop()
        elif state is not self._watched:
            self._stop()
            self._watched = state
            self._arrived = 0
            limit_s = self.head_s if state is h11.IDLE else self.body_s
            self._watch = self.loop.call_later(limit_s, self._late)

    def _late(self) -> None:
        """The time is over: for a head, or for a part of a body."""
        if self._watched is h11.SEND_BODY and (self._arrived >= BODY_BYTES or self.flow.read_paused):
            self._arrived = 0
            self._watch = self.loop.call_later(self.body_s, self._late)
        else:
            self._stop()
            self.transport.abort()

    def _stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._watched = None
