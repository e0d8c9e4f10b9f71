"""From an image as it came to what the estimator takes: the decoding of streams whose people are to be found.

In two halves, as for every other kind of frame: `accept` refuses what is too large, on the event loop; `decode` makes
pixels of it, on a decoder's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import FrameInput
from inkling.models.errors import VideoError
from inkling.models.people.input_fit import InputSize, PreparedPicture
from inkling.models.resize import FitPolicy, fit_image
from inkling.service.inputs.frame_mapper import MARGIN, ImageLimits, IncomingImage, decoded, image_cost, orientation_of
from inkling.service.perception.picture_step import CameraPicture
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

    def decode(self, frame: IncomingImage) -> CameraPicture:
        """What perception needs of a frame. Any thread. Raises BadImage, with `seq`."""
        try:
            picture = decoded(frame, *self._sizes)
            prepared = self._prepare(picture)
            fitted = {given: fit_image(picture, given.height, given.width, given.fit) for given in self._frames}
        except (BadImage, VideoError, ValueError) as error:
            raise about(frame.seq, BadImage(str(error))) from None
        width, height = camera_size(frame, picture)
        scale = width / picture.shape[1], height / picture.shape[0]
        return CameraPicture(prepared, small_grey(picture) if self._gated else None, scale, fitted)


def camera_size(frame: IncomingImage, picture: Pixels) -> tuple[int, int]:
    """Width and height of the picture as its camera has it, upright, of which `picture` may be a smaller copy."""
    if not isinstance(frame, EncodedImage):
        return frame.size or (picture.shape[1], picture.shape[0])
    turned = orientation_of(frame) in (5, 6, 7, 8)
    return (frame.height, frame.width) if turned else (frame.width, frame.height)


def small_grey(picture: Pixels) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3) -> grey uint8 (h, w), its longer side `GREY_SIDE` or less."""
    height, width = picture.shape[:2]
    scale = min(1.0, GREY_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY))
