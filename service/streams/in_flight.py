"""A frame on its way through a session: its people's steps, and the place that it keeps among the others."""

from __future__ import annotations

from typing import Any, Protocol

from inkling.models.people.tracker import TrackedPeople
from inkling.service.engine.scheduler import Lane, Step
from inkling.service.perception.camera import Camera
from inkling.service.perception.picture_step import PictureStep
from inkling.service.protocol.errors import ServiceError
from inkling.service.streams.event_detector import DetectedEvent
from inkling.service.streams.tracks import Track


class FrameOwner(Protocol):
    """The session, as its frames know it."""

    def step_done(self, step: PersonStep, now_s: float, /) -> None:
        """A step came back: with probabilities, with an error of the frame, or with neither when the engine failed."""

    def perceived(self, picture: FramePerception, now_s: float, /) -> None:
        """A picture came back: with people, still, with an error of the frame, or with none when perception failed."""

    def fail(self, error: ServiceError, /) -> None:
        """The stream cannot go on."""


class PersonStep(Step):
    """One person's step, and then its result.

    reason: of the track's last reset. probabilities, best (the index of the largest), row (the same as f32), unknown
    (of a bundle that has such a score): of the result. error: the frame cannot be decoded.
    """

    __slots__ = ("best", "error", "frame", "probabilities", "reason", "row", "track", "unknown")

    def __init__(self, lane: Lane, x: Any, repeats: int, frame: FrameInFlight, track: Track) -> None:
        self.lane = lane  # as Step does it, spared a call
        self.x = x
        self.epoch = track.epoch
        self.repeats = repeats
        self.submitted_s = frame.received_s
        self.frame = frame
        self.track = track
        self.reason = track.reason
        self.probabilities: list[float] | None = None
        self.best = 0
        self.row = b""
        self.unknown: float | None = None
        self.error: ServiceError | None = None

    def answered(
        self, probabilities: list[float], best: int, now_s: float, row: bytes = b"", unknown: float | None = None
    ) -> None:
        self.probabilities = probabilities
        self.best = best
        self.row = row
        self.unknown = unknown
        self.frame.session.step_done(self, now_s)

    def failed(self, now_s: float) -> None:
        self.frame.session.step_done(self, now_s)

    def refused(self, error: ServiceError, now_s: float) -> None:
        """What the step should have seen cannot be decoded. On the event loop."""
        self.error = error
        self.frame.session.step_done(self, now_s)


class FramePerception(PictureStep):
    """The picture that a frame waits for, before anything is known of its people.

    number: of the stream's pictures. clock_s: the frame's time on the camera's clock. reason: of the camera's last
    reset. error: the frame cannot be decoded.
    """

    __slots__ = ("clock_s", "error", "frame", "number", "reason")

    def __init__(
        self,
        lane: Lane,
        x: Any,
        camera: Camera,
        frame: FrameInFlight,
        *,
        epoch: int,
        reason: str,
        number: int,
        clock_s: float,
    ) -> None:
        super().__init__(lane, x, epoch, frame.received_s, camera, frame.pts_s)
        self.frame = frame
        self.reason = reason
        self.number = number
        self.clock_s = clock_s
        self.error: ServiceError | None = None

    def seen(self, now_s: float) -> None:
        self.frame.session.perceived(self, now_s)

    def failed(self, now_s: float) -> None:
        self.frame.session.perceived(self, now_s)

    def refused(self, error: ServiceError, now_s: float) -> None:
        """The picture cannot be decoded. On the event loop."""
        self.error = error
        self.frame.session.perceived(self, now_s)


class FrameInFlight:
    """A frame that is not settled, or waits for those before it. left: people without an answer, or 1 for perception.

    picture: what it waits for, while its people are not known. people: those in it, where the client is told of them.
    refused: why the frame, or somebody in it, was left out. One without steps stands for `frames` in a row that need
    none.
    """

    __slots__ = (
        "ended", "frames", "left", "people", "picture", "pts_s", "received_s", "refused", "seq", "session", "steps",
    )  # fmt: skip

    def __init__(self, session: FrameOwner, seq: int, pts_s: float, received_s: float) -> None:
        self.session = session
        self.seq = seq
        self.pts_s = pts_s
        self.received_s = received_s
        self.left = 0
        self.frames = 1
        self.refused: ServiceError | None = None
        self.picture: FramePerception | None = None
        self.people: TrackedPeople | None = None
        self.steps: list[PersonStep] = []
        self.ended: list[tuple[Track, DetectedEvent]] | None = None  # of tracks that gave their slot back at this frame

    @property
    def speaks(self) -> bool:
        """Whether the client is told more of it than its predictions, so that it must keep its place."""
        return self.ended is not None or self.refused is not None or self.people is not None


class FlushMarker:
    """A flush, in its place among the frames."""

    __slots__ = ("id",)
    left = 0

    def __init__(self, flush_id: int) -> None:
        self.id = flush_id
