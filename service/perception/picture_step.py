"""One camera's picture on its way through perception, and who is found in it. No threads, no clocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import FrameInput
from inkling.models.people.detections import Detections
from inkling.models.people.input_fit import PreparedPicture
from inkling.models.people.track_changes import Changes
from inkling.models.people.tracker import TrackedPeople
from inkling.service.engine.scheduler import Lane, Step
from inkling.service.perception.camera import Camera
from inkling.service.protocol.errors import ServiceError

NO_CHANGES = Changes()


class Estimator(Protocol):
    """What finds people: `inkling.models.people.estimator.PeopleEstimator`."""

    def estimate(self, pictures: list[PreparedPicture], /) -> list[Detections]:
        """The people of each picture, in pixels of what was prepared; all of one `shape`. One thread."""


Fitted = Mapping[FrameInput, NDArray[np.uint8]]
"""A picture as the inputs of bundles take it: one array each, for all people in it and all streams."""
NOT_FITTED: Fitted = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class DecodedPicture:
    """prepared: for the estimator. scale: from its pixels to those of the picture as its camera has it, (x, y).

    fitted: the whole picture as bundles take it besides its people.
    """

    prepared: PreparedPicture
    scale: tuple[float, float]
    fitted: Fitted = field(default_factory=lambda: NOT_FITTED)


@dataclass(frozen=True, slots=True)
class CameraPicture:
    """A picture as perception takes it. grey: small, for the motion gate; None: there is none.

    decoded: for the estimator; or, of a picture that the gate is likely to pass over, what decodes it (BadImage).
    """

    grey: NDArray[np.uint8] | None
    decoded: DecodedPicture | Callable[[], DecodedPicture]


class PictureStep(Step):
    """A frame of one camera whose people are not known yet, and then its people.

    x: the image as it came, and once it is decoded a `CameraPicture`. epoch: counts the resets of the camera; a picture
    of another one than the picture before it starts with nobody tracked. people: those who are tracked in the frame,
    in its camera's pixels; None while they are not known, and where the motion gate passed over it (`still`).
    changes: what became of tracks in it. fitted: of the picture, once its people are known.
    """

    __slots__ = ("camera", "changes", "fitted", "people", "pts_s", "still")

    def __init__(self, lane: Lane, x: Any, epoch: int, submitted_s: float, camera: Camera, pts_s: float) -> None:
        super().__init__(lane, x, epoch, 0, submitted_s)
        self.camera = camera
        self.pts_s = pts_s
        self.people: TrackedPeople | None = None
        self.still = False
        self.changes = NO_CHANGES
        self.fitted = NOT_FITTED

    def seen(self, now_s: float) -> None:
        """`people` are known, or `still` is true. On the event loop."""
        raise NotImplementedError

    def refused(self, error: ServiceError, now_s: float) -> None:
        """The picture cannot be decoded. On the event loop."""
        raise NotImplementedError
