"""Others who listen to a stream: a copy of its predictions and events to each, without holding it up. No sockets.

A stream's outbox becomes an `Outlet`, which passes everything on to its own client and what is of interest to the rest.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from inkling.service.protocol.codec import DecisionMessage, Event, Outgoing, Prediction, Ready, Summary
from inkling.service.protocol.errors import OverCapacity, ServiceError, SlowReader, StreamLost
from inkling.service.streams.responder import Outbox


class Follower:
    """One listener's messages, in order: `Ready` first, `Summary` last, or an error that says why none came.

    Everything runs on the event loop.
    """

    def __init__(self, outlet: Outlet, limit: int) -> None:
        self._outlet = outlet
        self._limit = limit
        self._waiting: deque[Outgoing] = deque()
        self._wake = asyncio.Event()
        self._error: ServiceError | None = None
        self._overflow = asyncio.Event()

    def offer(self, message: Outgoing) -> None:
        """Take a message of the stream. A listener who is too slow loses the stream, not the stream its time."""
        if len(self._waiting) >= self._limit:
            self._waiting.clear()
            self.lose(SlowReader(f"{self._limit} messages wait for this follower to read them"))
            self._overflow.set()
            self.close()
        else:
            self._waiting.append(message)
            self._wake.set()

    def lose(self, error: ServiceError) -> None:
        """Nothing more will come."""
        self._error = self._error or error
        self._wake.set()

    async def next(self) -> Outgoing:
        """The next message; after `Summary` there is none. Raises StreamLost or SlowReader at a bad end."""
        while not self._waiting:
            if self._error is not None:
                raise self._error
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()

    async def overflow(self) -> None:
        """Wait until this follower has proved too slow, for who is held up in sending. Raises SlowReader."""
        await self._overflow.wait()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Listen no longer. Idempotent."""
        self._outlet.leave(self)


class Outlet:
    """The outbox of one stream, with whoever else listens."""

    __slots__ = ("_first", "_followers", "_over", "_ready", "_room", "followed", "write")

    def __init__(self, first: Outbox, room: Room, write: Callable[[str | bytes], None] = lambda data: None) -> None:
        """write: takes predictions as they go over the wire (`responder.Wire`), where `first` gets none."""
        self._first = first
        self.write = write
        self.followed = False
        self._room = room
        self._ready: Ready | None = None
        self._followers: list[Follower] = []
        self._over = False

    def __call__(self, message: Outgoing) -> None:
        self._first(message)
        if self._ready is None and isinstance(message, Ready):
            self._ready = message.model_copy(update={"credits": 0})
        if self._followers and isinstance(message, Prediction | Event | DecisionMessage | Summary):
            self._over = isinstance(message, Summary)
            self._pass_on(message)

    def tell(self, prediction: Prediction) -> None:
        """A prediction that the stream's own client got through `write`."""
        self._pass_on(prediction)

    def _pass_on(self, message: Outgoing) -> None:
        for follower in tuple(self._followers):
            follower.offer(message)

    def follow(self, limit: int) -> Follower:
        """A listener from now on, with room for `limit` messages. Raises OverCapacity."""
        self._room.take()
        follower = Follower(self, limit)
        self._followers.append(follower)
        self.followed = True
        if self._ready is not None:
            follower.offer(self._ready)
        return follower

    def leave(self, follower: Follower) -> None:
        if follower in self._followers:
            self._followers.remove(follower)
            self.followed = bool(self._followers)
            self._room.used -= 1

    def close(self) -> None:
        """The stream is closed."""
        for follower in tuple(self._followers):
            if not self._over:
                follower.lose(StreamLost("the stream ended without a summary"))
            self.leave(follower)


class Room:
    """How many may listen, over all streams."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self) -> None:
        if self.used >= self.limit:
            raise OverCapacity(f"all {self.limit} places for followers are taken: try again later")
        self.used += 1
