"""One camera, several streams: each picture is looked at once, and all of them are told who is in it. Pure.

The streams are given the same pictures, one after the other in one turn of the event loop. Each still chooses by its
own clock, drops, and is reset by itself; a picture is looked at as long as one of them wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from inkling.service.engine.scheduler import Lane, Step
from inkling.service.perception.look import Look
from inkling.service.perception.stream_eyes import StreamEyes
from inkling.service.protocol.errors import ServiceError


class SharedLook(Look):
    """The one look that `wanted` wait for. image: the picture as it came, by which they know each other."""

    __slots__ = ("image", "owner", "wanted")

    def __init__(self, owner: SharedEyes, first: Look, epoch: int) -> None:
        eyes = owner.eyes
        super().__init__(eyes.lane, first.x, epoch, first.submitted_s, eyes.camera, first.pts_s)
        self.owner = owner
        self.image = first.x
        self.wanted: list[Look] = []

    def seen(self, now_s: float) -> None:
        for look in self.owner.settled(self):
            look.people, look.still = self.people, self.still
            look.seen(now_s)

    def failed(self, now_s: float) -> None:
        for look in self.owner.settled(self):
            look.failed(now_s)

    def refused(self, error: ServiceError, now_s: float) -> None:
        for look in self.owner.settled(self):
            look.refused(error, now_s)


class SharedEyes:
    """The eyes of one camera, for as many streams as `member` is called; a queue of looks for each of them."""

    def __init__(self, eyes: StreamEyes) -> None:
        self.eyes = eyes
        self._waiting: list[SharedLook] = []  # a few: each stream's inbox is small
        self._members: set[Lane] = set()
        self._epoch = 0

    def member(self) -> StreamEyes:
        """For one more stream."""
        eyes = self.eyes
        lane = Lane(0, 0, lambda rows: rows)
        self._members.add(lane)
        return StreamEyes(eyes.mapper, self, lane, eyes.camera, eyes.skeleton, eyes.lost_s)

    def submit(self, steps: Iterable[Step]) -> None:
        for look in cast("Iterable[Look]", steps):
            self._epoch = max(self._epoch, look.epoch)
            shared = self._of_picture(look.x)
            if shared is None:
                shared = SharedLook(self, look, self._epoch)
                shared.wanted.append(look)
                self._waiting.append(shared)
                self.eyes.queue.submit([shared])
            else:
                shared.wanted.append(look)

    def cancel(self, steps: Sequence[Step]) -> bool:
        """Take back all of `steps`, or none when one has begun and nobody else wants it."""
        found = [shared for shared in self._waiting for look in shared.wanted if look in steps]
        if len(found) != len(steps):
            return False
        alone = [shared for shared in found if len(shared.wanted) == 1]
        if alone and not self.eyes.queue.cancel(alone):
            return False
        for shared in found:
            shared.wanted = [look for look in shared.wanted if look not in steps]
            if not shared.wanted:
                self._waiting.remove(shared)
        return True

    def close(self, lane: Lane) -> None:
        """One stream is closed; after the last of them nobody looks any more."""
        lane.closed = True
        self._members.discard(lane)
        for shared in self._waiting:
            shared.wanted = [look for look in shared.wanted if look.lane is not lane]
        if not self._members:
            self._waiting.clear()
            self.eyes.close()

    def settled(self, shared: SharedLook) -> list[Look]:
        """Forget a look that is done; those who want to hear of it."""
        if shared in self._waiting:
            self._waiting.remove(shared)
        return shared.wanted

    def _of_picture(self, image: Any) -> SharedLook | None:
        return next((shared for shared in reversed(self._waiting) if shared.image is image), None)
