"""What one stream has of perception: its camera, and where its looks go."""

from __future__ import annotations

from dataclasses import dataclass

from inkling.models.people.motion import MotionConfig, MotionGate
from inkling.models.people.tracker import PersonTracker, TrackerConfig
from inkling.service.engine.scheduler import Lane, StepQueue
from inkling.service.inputs.frame_mapper import IncomingImage
from inkling.service.perception.camera import Camera
from inkling.service.perception.look_options import LookOptions
from inkling.service.perception.picture_mapper import PictureMapper


@dataclass(frozen=True, slots=True)
class StreamEyes:
    """One stream's part of perception. Its pictures follow each other in `lane`, which is closed with the stream.

    skeleton: of the people who are found. lost_s: seconds for which somebody may be lost and still be who they were.
    """

    mapper: PictureMapper
    queue: StepQueue
    lane: Lane
    camera: Camera
    skeleton: str
    lost_s: float

    def accept(self, frame: IncomingImage) -> IncomingImage:
        """The frame, if it may be decoded at all. Raises BadImage (with `seq`)."""
        return self.mapper.accept(frame)

    @property
    def side(self) -> int:
        """Longer side of what is seen of a picture, in pixels."""
        return self.mapper.side

    def close(self) -> None:
        """The stream is closed: what waits is forgotten."""
        self.queue.close(self.lane)


def stream_eyes(
    mapper: PictureMapper, queue: StepQueue, options: LookOptions, skeleton: str, most: int, lost_s: float
) -> StreamEyes:
    """The eyes of one stream. most: people at once. lost_s: as in `StreamEyes`."""
    tracker = PersonTracker(
        TrackerConfig(
            skeleton=skeleton,
            begin_score=options.begin_score,
            sure_score=max(options.sure_score, options.begin_score),
            keep_score=min(options.keep_score, options.begin_score),
            lost_s=lost_s,
        )
    )
    gate = MotionGate(MotionConfig()) if options.motion_gate else None
    camera = Camera(tracker, gate, min(options.max_people, most))
    return StreamEyes(mapper, queue, Lane(0, 0, lambda rows: rows), camera, skeleton, lost_s)
