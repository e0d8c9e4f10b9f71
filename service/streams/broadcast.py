"""From one stream's answers to those who get them: its own client and its followers. No sockets.

A follower gets a copy of the predictions, events and decisions, and never holds the stream up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inkling.service.protocol.codec import (
    DecisionMessage,
    Event,
    Outgoing,
    PeopleMessage,
    Prediction,
    Ready,
    Start,
    Summary,
)
from inkling.service.protocol.errors import OverCapacity, ServiceError, SlowReader, StreamLost
from inkling.service.protocol.prediction_format import PredictionMessages, wire_format
from inkling.service.protocol.prediction_value import PredictionValue

Outbox = Callable[[Outgoing], None]
"""Takes the messages for a stream's own client, in order. Must not block, await or raise."""


@dataclass(frozen=True, slots=True)
class FollowerChoice:
    """What a follower wants of a stream. people: also who was seen in each frame. events: events and decisions only."""

    people: bool = False
    events: bool = False

    def told(self, ready: Ready) -> Ready:
        """`ready` as this follower gets it."""
        return ready if self.people else without_skeleton(ready)

    def takes(self, message: Outgoing) -> bool:
        """Whether a message of the stream is for it."""
        if isinstance(message, PeopleMessage):
            return self.people
        return not (self.events and isinstance(message, Prediction))


EVERYTHING = FollowerChoice()
"""What every stream says of itself."""


class Follower:
    """One listener's messages, in order: `Ready` first, `Summary` last, or an error that says why none came.

    Everything runs on the event loop.
    """

    def __init__(self, stream: Broadcast, limit: int, choice: FollowerChoice) -> None:
        self.choice = choice
        self._stream = stream
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
        """Wait until this follower has proved too slow, for a shell that is held up in sending. Raises SlowReader."""
        await self._overflow.wait()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Listen no longer. Idempotent."""
        self._stream.leave(self)


class Broadcast:
    """The `Outlet` of one stream."""

    __slots__ = ("_followers", "_format", "_message", "_outbox", "_over", "_people", "_places", "_ready", "_write")

    def __init__(
        self,
        labels: Sequence[str],
        start: Start,
        outbox: Outbox,
        places: FollowerPlaces,
        write: Callable[[str | bytes], None] | None = None,
        lead_s: float | None = None,
    ) -> None:
        """outbox: takes all messages for the stream's own client. write: takes its predictions in place of `outbox`,
        as they go over the wire. lead_s: that of the bundle."""
        self._message = PredictionMessages(labels, start.top_k, lead_s, unknown=start.unknown)
        self._format = wire_format(labels, start, lead_s)
        self._outbox = outbox
        self._write = write
        self._people = start.people
        self._places = places
        self._ready: Ready | None = None
        self._followers: list[Follower] = []
        self._over = False

    def send(self, message: Outgoing) -> None:
        """Any message but a prediction."""
        if isinstance(message, Ready):
            self._outbox(message if self._people else without_skeleton(message))
            self._ready = message.model_copy(update={"credits": 0})
        elif self._people or not isinstance(message, PeopleMessage):
            self._outbox(message)
        if self._followers and isinstance(message, Event | DecisionMessage | PeopleMessage | Summary):
            self._over = isinstance(message, Summary)
            self._offer(message)

    def predict(self, value: PredictionValue) -> None:
        """A prediction."""
        if self._write is not None:
            self._write(self._format(value))
            if self._followers:
                self._offer(self._message(value))
        else:
            message = self._message(value)
            self._outbox(message)
            self._offer(message)

    def _offer(self, message: Prediction | Event | DecisionMessage | PeopleMessage | Summary) -> None:
        for follower in tuple(self._followers):
            if follower.choice.takes(message):
                follower.offer(message)

    @property
    def wants_people(self) -> bool:
        """Whether its client or a follower wants to be told of the people of each frame."""
        return self._people or any(follower.choice.people for follower in self._followers)

    def follow(self, limit: int, choice: FollowerChoice = EVERYTHING) -> Follower:
        """A listener from now on, with room for `limit` messages. Raises OverCapacity."""
        self._places.take()
        follower = Follower(self, limit, choice)
        self._followers.append(follower)
        if self._ready is not None:
            follower.offer(choice.told(self._ready))
        return follower

    def leave(self, follower: Follower) -> None:
        if follower in self._followers:
            self._followers.remove(follower)
            self._places.used -= 1

    def close(self) -> None:
        """The stream is closed."""
        for follower in tuple(self._followers):
            if not self._over:
                follower.lose(StreamLost("the stream ended without a summary"))
            self.leave(follower)


def without_skeleton(ready: Ready) -> Ready:
    """For those who are not told of people, and have nothing to draw."""
    return ready if ready.skeleton is None else ready.model_copy(update={"skeleton": None})


class FollowerPlaces:
    """How many may listen, over all streams."""

    __slots__ = ("limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self) -> None:
        if self.used >= self.limit:
            raise OverCapacity(f"all {self.limit} places for followers are taken: try again later")
        self.used += 1
