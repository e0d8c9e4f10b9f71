"""The frames of a stream that are not answered yet, in the order in which they came, and the flushes among them. Pure.

A frame is taken out when it is settled and all before it are. One without steps keeps its place too: it says that
everything before it was answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from inkling.service.engine.scheduler import StepQueue
from inkling.service.memory_account import Share
from inkling.service.protocol.errors import BadMessage, OverCapacity
from inkling.service.streams.in_flight import FlushMarker, FrameInFlight

FREE = 128 * 1024
"""Bytes of waiting images that a stream may hold without asking: small pictures, or one of middle size."""
MARKERS = 1000
"""Flushes that may wait at a time."""


class PendingFrames:
    """At most `limit` frames whose steps wait, by policy; steps go to `queue`, pictures to `perception`.

    waiting: frames with steps that are not answered, or with a picture that is not perceived.
    """

    __slots__ = (
        "_bytes",
        "_entries",
        "_fitted",
        "_held",
        "_largest",
        "_markers",
        "_memory",
        "_perception",
        "_queue",
        "drop_oldest",
        "limit",
        "waiting",
    )  # fmt: skip

    def __init__(
        self,
        limit: int,
        queue: StepQueue,
        perception: StepQueue | None = None,
        *,
        drop_oldest: bool,
        memory: Share | None = None,
    ) -> None:
        """drop_oldest: what a frame does to a full inbox; else it is taken all the same, and `full` is to be heeded.

        memory: of a stream of images.
        """
        self.limit = limit
        self._queue = queue
        self._perception = perception
        self.drop_oldest = drop_oldest
        self._entries: deque[FrameInFlight | FlushMarker] = deque()
        self._markers = 0  # among the pending
        self._memory = memory
        self._held: dict[FrameInFlight, int] = {}  # bytes of images that wait
        self._bytes = 0  # of all of them
        self._largest = 0  # of those so far
        self._fitted = 0  # of each, needed while its people are stepped
        self.waiting = 0

    def __len__(self) -> int:
        """Places taken, by frames and by flushes."""
        return len(self._entries)

    @property
    def full(self) -> bool:
        if self._held and self._memory is not None and self._bytes + self._largest > FREE:
            return self.waiting >= self.limit or not self._memory.fits(self._largest)
        return self.waiting >= self.limit

    def hold(self, frame: FrameInFlight, count: int, fitted: int = 0) -> None:
        """Account for an image of so many bytes, before its frame is submitted. Frames that wait are dropped for it,
        the oldest first. Raises OverCapacity when there is no room all the same.

        fitted: bytes of it that are needed after its people were found.
        """
        if self._memory is None:
            return
        while True:
            try:
                self._memory.change(max(self._bytes + count - FREE, 0))
                break
            except OverCapacity:
                if not (self.drop_oldest and self._drop_one()):
                    raise
        self._held[frame] = count
        self._fitted = fitted
        self._bytes += count
        self._largest = max(self._largest, count)

    def submit(self, frame: FrameInFlight) -> bool:
        """Take a frame with steps, or with a picture. True: one was dropped for want of room, the oldest that has not
        begun or, when all have, the new one itself."""
        dropped = self.drop_oldest and self.waiting >= self.limit
        if dropped and not self._drop_one():
            self.give_up(frame)
            return True
        if frame.picture is not None and self._perception is not None:
            frame.left = 1
            self.waiting += 1
            self._entries.append(frame)
            self._perception.submit([frame.picture])
            return dropped
        steps = frame.steps
        frame.left = len(steps)
        for step in steps:
            step.track.waiting += 1
        self.waiting += 1
        self._entries.append(frame)
        self._queue.submit(steps)
        return dropped

    def give_up(self, frame: FrameInFlight) -> None:
        """Drop a frame that has not been submitted."""
        frame.steps.clear()
        frame.picture = None
        self._release(frame)
        self.append_silent(frame)

    def append_silent(self, frame: FrameInFlight) -> None:
        """Put a frame without steps in its place. While the engine is slow there may be any number: they merge, but for
        those at which an action ended, which says when."""
        last = self._entries[-1] if self._entries else None
        if isinstance(last, FrameInFlight) and not (last.steps or last.picture or last.speaks or frame.speaks):
            last.seq, last.pts_s = frame.seq, frame.pts_s
            last.frames += 1
        else:
            self._entries.append(frame)

    def mark(self, flush_id: int) -> None:
        """Put a flush in its place. Raises BadMessage for a flood of them."""
        if self._markers >= MARKERS:
            raise BadMessage(f"{MARKERS} flushes wait for their answers already")
        self._markers += 1
        self._entries.append(FlushMarker(flush_id))

    def perceived(self, frame: FrameInFlight) -> bool:
        """The frame's people are known, and its steps go on. True: it has none, and that frees the first place."""
        frame.picture = None
        if self._held and not (self._fitted and frame.steps):
            self._release(frame)
        frame.left = len(frame.steps)
        if frame.steps:
            for step in frame.steps:
                step.track.waiting += 1
            self._queue.submit(frame.steps)
            return False
        self.waiting -= 1
        return self._entries[0] is frame

    def step_done(self, frame: FrameInFlight) -> bool:
        """One step of the frame came back. True: that frees the first place, see `take_settled`."""
        frame.left -= 1
        if frame.left:
            return False
        if self._held:
            self._release(frame)
        self.waiting -= 1
        return self._entries[0] is frame

    def take_settled(self) -> Iterator[FrameInFlight | FlushMarker]:
        """Take out what is settled, up to the first frame that is not."""
        entries = self._entries
        while entries and not entries[0].left:
            entry = entries.popleft()
            if type(entry) is FlushMarker:
                self._markers -= 1
            yield entry

    def clear(self) -> int:
        """Forget everything; returns how many frames with steps or with a picture were there."""
        lost = sum(isinstance(entry, FrameInFlight) and bool(entry.steps or entry.picture) for entry in self._entries)
        self._entries.clear()
        self._markers = self.waiting = self._bytes = 0
        self._held.clear()
        if self._memory is not None:
            self._memory.close()
        return lost

    def _release(self, frame: FrameInFlight) -> None:
        """Its image is needed no more."""
        self._bytes -= self._held.pop(frame, 0)
        if self._memory is not None:
            self._memory.change(max(self._bytes - FREE, 0))

    def _drop_one(self) -> bool:
        """Drop the oldest frame that has not begun, if there is one. For the client, the frame after it settles it."""
        for entry in self._entries:
            if isinstance(entry, FrameInFlight) and entry.left and self._cancel(entry):
                for step in entry.steps:
                    step.track.waiting -= 1
                entry.steps.clear()
                entry.picture = None
                entry.left = 0
                self._release(entry)
                self.waiting -= 1
                if not entry.speaks:
                    self._entries.remove(entry)
                return True
        return False

    def _cancel(self, frame: FrameInFlight) -> bool:
        if frame.picture is not None:
            return self._perception is not None and self._perception.cancel([frame.picture])
        return self._queue.cancel(frame.steps)
