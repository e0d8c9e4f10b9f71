"""The frames of a stream that are not answered yet, in the order in which they came, and the flushes among them. Pure.

A frame is taken out when it is settled and all before it are. One without works keeps its place too: it says that
everything before it was answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from inkling.service.engine.scheduler import Lane, Step
from inkling.service.protocol.errors import BadMessage
from inkling.service.streams.in_flight import Frame, Marker

MARKERS = 1000
"""Flushes that may wait at a time."""


class Queue(Protocol):
    """Where steps go: the batcher, the decoder in front of it, or a bare Scheduler in tests."""

    def submit(self, steps: Sequence[Step], /) -> None: ...

    def cancel(self, steps: Sequence[Step], /) -> bool: ...

    def close(self, lane: Lane, /) -> None: ...


class Inbox:
    """At most `limit` frames whose works wait, by policy; works go to `queue`.

    waiting: frames with works that are not answered.
    """

    __slots__ = ("_drop_oldest", "_markers", "_pending", "_queue", "limit", "waiting")

    def __init__(self, limit: int, queue: Queue, *, drop_oldest: bool) -> None:
        """drop_oldest: what a frame does to a full inbox; else it is taken all the same, and `full` is to be heeded."""
        self.limit = limit
        self._queue = queue
        self._drop_oldest = drop_oldest
        self._pending: deque[Frame | Marker] = deque()
        self._markers = 0  # among the pending
        self.waiting = 0

    def __len__(self) -> int:
        """Places taken, by frames and by flushes."""
        return len(self._pending)

    @property
    def full(self) -> bool:
        return self.waiting >= self.limit

    def submit(self, frame: Frame) -> bool:
        """Take a frame with works. True: one was dropped for want of room, the oldest that has not begun or, when all
        have, the new one itself."""
        dropped = self._drop_oldest and self.waiting >= self.limit
        if dropped and not self._drop_one():
            frame.works.clear()
            self.append_silent(frame)
            return True
        works = frame.works
        frame.left = len(works)
        for work in works:
            work.track.waiting += 1
        self.waiting += 1
        self._pending.append(frame)
        self._queue.submit(works)
        return dropped

    def append_silent(self, frame: Frame) -> None:
        """Put a frame without works in its place. While the engine is slow there may be any number: they merge, but for
        those at which an action ended, which says when."""
        last = self._pending[-1] if self._pending else None
        if isinstance(last, Frame) and not last.works and last.ended is frame.ended is None:
            last.seq, last.pts_s = frame.seq, frame.pts_s
            last.frames += 1
        else:
            self._pending.append(frame)

    def mark(self, flush_id: int) -> None:
        """Put a flush in its place. Raises BadMessage for a flood of them."""
        if self._markers >= MARKERS:
            raise BadMessage(f"{MARKERS} flushes wait for their answers already")
        self._markers += 1
        self._pending.append(Marker(flush_id))

    def settle(self, frame: Frame) -> bool:
        """One work of the frame came back. True: that frees the first place, see `settled`."""
        frame.left -= 1
        if frame.left:
            return False
        self.waiting -= 1
        return self._pending[0] is frame

    def settled(self) -> Iterator[Frame | Marker]:
        """Take out what is settled, up to the first frame that is not."""
        pending = self._pending
        while pending and not pending[0].left:
            entry = pending.popleft()
            self._markers -= isinstance(entry, Marker)
            yield entry

    def clear(self) -> int:
        """Forget everything; returns how many frames with works were there."""
        lost = sum(isinstance(entry, Frame) and bool(entry.works) for entry in self._pending)
        self._pending.clear()
        self._markers = self.waiting = 0
        return lost

    def _drop_one(self) -> bool:
        """Drop the oldest frame that has not begun, if there is one. For the client, the frame after it settles it."""
        for entry in self._pending:
            if isinstance(entry, Frame) and entry.left and self._queue.cancel(entry.works):
                for work in entry.works:
                    work.track.waiting -= 1
                entry.works.clear()
                entry.left = 0
                self.waiting -= 1
                if entry.ended is None:
                    self._pending.remove(entry)
                return True
        return False
