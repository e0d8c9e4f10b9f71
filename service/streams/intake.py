"""Frames whose people are known when they come: poses, and images of a bundle that takes images whole. Pure."""

from __future__ import annotations

import math
from typing import Any, Protocol

from inkling.service.engine.scheduler import Prepare
from inkling.service.protocol.codec import EncodedImage, PackedPose
from inkling.service.protocol.errors import BadPose, BadTime, DoubtfulPose, OverCapacity, TooManyPeople
from inkling.service.protocol.image_binary import ImageFrame
from inkling.service.protocol.track_id import TrackId
from inkling.service.streams.in_flight import FrameInFlight, FrameOwner
from inkling.service.streams.limits import Limits
from inkling.service.streams.pending import PendingFrames
from inkling.service.streams.people_steps import PeopleSteps
from inkling.service.streams.responder import Responder
from inkling.service.streams.stats import Counts
from inkling.service.streams.time_watch import SKIPPED_IN_A_TICK, TimeWatch

FrameMessage = PackedPose | EncodedImage | ImageFrame


class Mapper(Protocol):
    """What a session needs to know of its kind of input."""

    @property
    def prepare(self) -> Prepare: ...

    def accept(self, frame: Any, /) -> Any:
        """A sequence with a row for each of the frame's tracks, for the queue. Raises what refuses this one frame."""


class Intake(Protocol):
    """How a stream takes its frames in."""

    def take(self, message: FrameMessage, opened_s: float, now_s: float) -> bool:
        """Take one frame; whether something may be settled now. Raises ServiceError, which refuses this one frame.

        opened_s: when the stream began, from which frames without a time are timed.
        """

    def reset(self, track_id: TrackId | None) -> None:
        """Frames sent before it still belong to the old epoch, those after to the new. None: everybody."""


class FrameIntake:
    """Each frame is stepped for those of its people whose clocks say so, at once."""

    def __init__(
        self,
        owner: FrameOwner,
        mapper: Mapper,
        limits: Limits,
        people: PeopleSteps,
        pending: PendingFrames,
        responder: Responder,
        counts: Counts,
        time_watch: TimeWatch,
    ) -> None:
        self._owner = owner
        self._mapper = mapper
        self._max_people = limits.max_people
        self._people = people
        self._pending = pending
        self._responder = responder
        self._counts = counts
        self._time_watch = time_watch

    def take(self, message: FrameMessage, opened_s: float, now_s: float) -> bool:
        """As `Intake.take`."""
        pts_s = time_of(message, opened_s, now_s)
        people = message.tracks
        if len(people) > self._max_people:
            raise TooManyPeople(f"{len(people)} people in one frame; at most {self._max_people} are watched")
        x = self._mapper.accept(message)
        frame = FrameInFlight(self._owner, message.seq, pts_s, now_s)
        if type(message) is PackedPose:
            if message.refused is not None:
                frame.refused = BadPose(message.refused)
            if message.doubt is not None:
                self._responder.error(DoubtfulPose(message.doubt))
        without_slot = self._people.put_into(frame, people, x, pts_s, now_s)
        if frame.steps:
            if type(message) is not PackedPose and not has_memory(frame, message, self._pending, self._responder):
                return True
            if not self._pending.submit(frame):
                return False  # it waits, and nothing else has changed
            self._responder.drop("overflow")
        else:
            if without_slot:
                self._responder.drop("no_slot")
            else:
                self._counts.skipped += 1
                if (number := self._counts.taken) % SKIPPED_IN_A_TICK == 0:
                    self._responder.warn(self._time_watch.skipped(number, pts_s, now_s))
            self._pending.append_silent(frame)
        return True

    def reset(self, track_id: TrackId | None) -> None:
        """As `Intake.reset`: it waits for nothing."""
        self._people.reset(track_id)


def has_memory(
    frame: FrameInFlight, message: FrameMessage, pending: PendingFrames, responder: Responder, fitted: int = 0
) -> bool:
    """Whether there is memory for the frame's image, older frames being dropped for it; if not, it is dropped itself.

    fitted: bytes of the picture that is kept of it until its people are answered. Raises OverCapacity where none may be
    dropped.
    """
    if not isinstance(message, EncodedImage):
        return True
    before = pending.waiting
    fits = True
    try:
        pending.hold(frame, max(len(message.data), fitted), fitted)
    except OverCapacity:
        if not pending.drop_oldest:
            raise
        pending.give_up(frame)
        fits = False
    for _ in range(before - pending.waiting + (not fits)):
        responder.drop("memory")
    return fits


def time_of(message: FrameMessage, opened_s: float, now_s: float) -> float:
    """Seconds at which a frame was seen. Raises BadTime."""
    pts_s = max(now_s - opened_s, 0.0) if message.pts_s is None else message.pts_s
    if not 0 <= pts_s < math.inf:
        raise BadTime(f"pts_s must be seconds, 0 or later, not {pts_s}")
    return pts_s
