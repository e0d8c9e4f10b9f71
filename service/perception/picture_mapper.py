"""From an image as it came to what the estimator takes: the decoding of streams whose people are to be found.

In two halves, as for every other kind of frame: `accept` refuses what is too large, on the event loop; `decode` makes
pixels of it, on a decoder's thread.

The motion gate sees a baseline JPEG at an eighth of its size, which takes a third of the time that its pixels take.
They are made at once where they are likely to be needed, else when the gate says that they are: what is seen is the
same either way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import FrameInput
from inkling.models.errors import VideoError
from inkling.models.people.input_fit import InputSize, PreparedPicture
from inkling.models.resize import FitPolicy, fit_image
from inkling.service.engine.scheduler import Step
from inkling.service.inputs.decode_pool import Decoder
from inkling.service.inputs.frame_mapper import (
    MARGIN,
    ImageLimits,
    IncomingImage,
    decoded,
    image_cost,
    orientation_of,
    upright,
)
from inkling.service.inputs.image_decoder import decode_grey
from inkling.service.perception.picture_step import CameraPicture, DecodedPicture, PictureStep
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_binary import EncodedImage, Pixels
from inkling.service.protocol.pose_binary import about

GREY_SIDE = 64
"""Longer side of the picture that the motion gate sees."""


class PictureMapper:
    """Images as they come, for one size of an estimator's input. Shared by all streams with the same options."""

    __slots__ = ("_frames", "_gated", "_limits", "_prepare", "_sizes", "size")

    def __init__(
        self,
        prepare: Callable[[Pixels], PreparedPicture],
        size: InputSize,
        limits: ImageLimits,
        *,
        gated: bool,
        frames: Collection[FrameInput] = (),
    ) -> None:
        """prepare: RGB of any size -> the estimator's input. size: of that.

        gated: a motion gate looks at the pictures too. frames: what bundles take of a picture besides its people.
        """
        self._prepare = prepare
        self.size = size
        self._limits = limits
        self._gated = gated
        self._frames = tuple(frames)
        longer = max(size.height, size.width)
        self._sizes: list[tuple[int, int, FitPolicy]] = [(longer, longer, "letterbox")]
        self._sizes += [(frame.height, frame.width, frame.fit) for frame in self._frames]

    def accept(self, frame: IncomingImage) -> IncomingImage:
        """The same frame. Raises BadImage (with `seq`) when it has too many pixels, or would take too long."""
        self._limits.check(frame)
        return frame

    @property
    def side(self) -> int:
        """Longer side of what is seen of a picture, in pixels."""
        return max([self.size.height, self.size.width, *(MARGIN * max(frame.shape[:2]) for frame in self._frames)])

    @property
    def within(self) -> tuple[int, int]:
        """Height and width of a picture of which everything is seen."""
        return (self.side, self.side) if self._frames else (self.size.height, self.size.width)

    cost = staticmethod(image_cost)

    def decode(self, frame: IncomingImage, passed_over: bool = False) -> CameraPicture:
        """What perception needs of a frame. Any thread. Raises BadImage, with `seq`.

        passed_over: the gate is likely to pass over it, so that only what the gate sees is worth making.
        """
        try:
            if self._gated and isinstance(frame, EncodedImage) and frame.file and frame.file.coding == "jpeg":
                grey = jpeg_grey(frame)
                return CameraPicture(grey, partial(self._decoded, frame) if passed_over else self._decoded(frame))
            picture = decoded(frame, *self._sizes)
            return CameraPicture(small_grey(picture) if self._gated else None, self._prepared(frame, picture))
        except (BadImage, VideoError, ValueError) as error:
            raise about(frame.seq, BadImage(str(error))) from None

    def _decoded(self, frame: IncomingImage) -> DecodedPicture:
        return self._prepared(frame, decoded(frame, *self._sizes))

    def _prepared(self, frame: IncomingImage, picture: Pixels) -> DecodedPicture:
        width, height = camera_size(frame, picture)
        scale = width / picture.shape[1], height / picture.shape[0]
        fitted = {given: fit_image(picture, given.height, given.width, given.fit) for given in self._frames}
        return DecodedPicture(self._prepare(picture), scale, fitted)


class PictureDecoder(Decoder):
    """Decoding in front of perception's thread: as much of a picture as its camera's gate is likely to need."""

    def pixels(self, step: Step) -> Any:
        picture = cast("PictureStep", step)
        return self._decode(picture.x, picture.camera.passed_over)


def camera_size(frame: IncomingImage, picture: Pixels) -> tuple[int, int]:
    """Width and height of the picture as its camera has it, upright, of which `picture` may be a smaller copy."""
    if not isinstance(frame, EncodedImage):
        return frame.size or (picture.shape[1], picture.shape[0])
    turned = orientation_of(frame) in (5, 6, 7, 8)
    return (frame.height, frame.width) if turned else (frame.width, frame.height)


def small_grey(picture: Pixels) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3) -> grey uint8 (h, w), its longer side `GREY_SIDE` or less."""
    return np.asarray(cv2.cvtColor(_small(picture), cv2.COLOR_RGB2GRAY))


def jpeg_grey(frame: EncodedImage) -> NDArray[np.uint8]:
    """The same of a JPEG, by way of as small a picture as its decoder gives that is not smaller. Raises BadImage."""
    assert frame.file is not None  # noqa: S101 -- it is a JPEG's
    longer = max(frame.height, frame.width)
    reduce = next((factor for factor in (8, 4, 2) if longer >= factor * GREY_SIDE), 1)
    return _small(upright(decode_grey(frame.data, frame.file, reduce), orientation_of(frame))[..., 0])


def _small(picture: Pixels) -> Pixels:
    """Any uint8 (H, W) or (H, W, 3), its longer side `GREY_SIDE` or less."""
    height, width = picture.shape[:2]
    scale = min(1.0, GREY_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
