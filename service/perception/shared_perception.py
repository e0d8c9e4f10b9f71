"""One camera, several streams: each picture is perceived once, and all of them are told who is in it. Pure.

The streams are given the same pictures, one after the other in one turn of the event loop. Each still chooses by its
own clock, drops, and is reset by itself; a picture is perceived as long as one of them wants it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from inkling.models.bundle.schema import FrameInput
from inkling.service.engine.scheduler import Lane, Step
from inkling.service.perception.picture_step import PictureStep
from inkling.service.perception.stream_perception import StreamPerception
from inkling.service.protocol.errors import ServiceError


class SharedPictureStep(PictureStep):
    """The one step that `wanted` wait for. image: the picture as it came, by which they know each other."""

    __slots__ = ("image", "owner", "wanted")

    def __init__(self, owner: SharedPerception, first: PictureStep, epoch: int) -> None:
        perception = owner.perception
        super().__init__(perception.lane, first.x, epoch, first.submitted_s, perception.camera, first.pts_s)
        self.owner = owner
        self.image = first.x
        self.wanted: list[PictureStep] = []

    def seen(self, now_s: float) -> None:
        for picture in self.owner.settled(self):
            picture.people, picture.still = self.people, self.still
            picture.changes, picture.fitted = self.changes, self.fitted
            picture.seen(now_s)

    def failed(self, now_s: float) -> None:
        for picture in self.owner.settled(self):
            picture.failed(now_s)

    def refused(self, error: ServiceError, now_s: float) -> None:
        for picture in self.owner.settled(self):
            picture.refused(error, now_s)


class SharedPerception:
    """Perception of one camera, for as many streams as `member` is called; a queue for each of them."""

    def __init__(self, perception: StreamPerception) -> None:
        self.perception = perception
        self._waiting: list[SharedPictureStep] = []  # a few: each stream's inbox is small
        self._members: set[Lane] = set()
        self._epoch = 0

    def member(self, frame: FrameInput | None = None) -> StreamPerception:
        """For one more stream. frame: what its bundle takes of a picture besides its people."""
        perception = self.perception
        lane = Lane(0, 0, lambda rows: rows)
        self._members.add(lane)
        return StreamPerception(
            perception.mapper, self, lane, perception.camera, perception.skeleton, perception.lost_s, frame
        )

    def submit(self, steps: Iterable[Step]) -> None:
        for picture in cast("Iterable[PictureStep]", steps):
            self._epoch = max(self._epoch, picture.epoch)
            shared = self._of_picture(picture.x)
            if shared is None:
                shared = SharedPictureStep(self, picture, self._epoch)
                shared.wanted.append(picture)
                self._waiting.append(shared)
                self.perception.queue.submit([shared])
            else:
                shared.wanted.append(picture)

    def cancel(self, steps: Sequence[Step]) -> bool:
        """Take back all of `steps`, or none when one has begun and nobody else wants it."""
        found = [shared for shared in self._waiting for picture in shared.wanted if picture in steps]
        if len(found) != len(steps):
            return False
        alone = [shared for shared in found if len(shared.wanted) == 1]
        if alone and not self.perception.queue.cancel(alone):
            return False
        for shared in found:
            shared.wanted = [picture for picture in shared.wanted if picture not in steps]
            if not shared.wanted:
                self._waiting.remove(shared)
        return True

    def close(self, lane: Lane) -> None:
        """One stream is closed; after the last of them nothing is perceived any more."""
        lane.closed = True
        self._members.discard(lane)
        for shared in self._waiting:
            shared.wanted = [picture for picture in shared.wanted if picture.lane is not lane]
        if not self._members:
            self._waiting.clear()
            self.perception.close()

    def settled(self, shared: SharedPictureStep) -> list[PictureStep]:
        """Forget a step that is done; those who want to hear of it."""
        if shared in self._waiting:
            self._waiting.remove(shared)
        return shared.wanted

    def _of_picture(self, image: Any) -> SharedPictureStep | None:
        return next((shared for shared in reversed(self._waiting) if shared.image is image), None)
