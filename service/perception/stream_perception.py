"""What one stream has of perception: its camera, and where its pictures go."""

from __future__ import annotations

from dataclasses import dataclass

from inkling.models.bundle.schema import FrameInput
from inkling.models.skeletons import Skeleton
from inkling.service.engine.scheduler import Lane, StepQueue
from inkling.service.inputs.frame_mapper import IncomingImage
from inkling.service.perception.camera import Camera
from inkling.service.perception.picture_mapper import PictureMapper


@dataclass(frozen=True, slots=True)
class StreamPerception:
    """One stream's part of perception. Its pictures follow each other in `lane`, which is closed with the stream.

    skeleton: of the people who are found. lost_s: seconds for which somebody may be lost and still be who they were.
    frame: what the stream's bundle takes of a picture besides its people; None: nothing.
    """

    mapper: PictureMapper
    queue: StepQueue
    lane: Lane
    camera: Camera
    skeleton: Skeleton
    lost_s: float
    frame: FrameInput | None = None

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
