"""From a frame as it came to the pixels that a frame bundle's step takes: the mapper of a session with images.

In two halves, as for poses: `accept` refuses what is too large, on the event loop; `fitted` decodes and resizes, on a
decoder's thread. What is resized how is decided in `inkling.models.resize`, where training decides it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import BundleSpec, FrameInput
from inkling.models.errors import VideoError
from inkling.models.resize import FitPolicy, fit_image
from inkling.service.inputs.decode_cost import FREE, DecodeCost, decode_cost
from inkling.service.inputs.image_decoder import JPEG, decode_image
from inkling.service.inputs.wants import takes_both, unsupported
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_binary import NV12, RGB, EncodedImage, ImageFrame, Pixels
from inkling.service.protocol.messages import Start
from inkling.service.protocol.pose_binary import about

IncomingImage = EncodedImage | ImageFrame

MARGIN = 2
"""A JPEG is not reduced below so many times the input's size: what its decoder averages away differs from what
`fit_image` does by a quarter of a grey level then, and by ten times that without a margin."""


def image_cost(frame: IncomingImage) -> DecodeCost:
    """What decoding is estimated to take. Of the frames of a source nothing is known."""
    return decode_cost(frame.file) if isinstance(frame, EncodedImage) and frame.file is not None else FREE


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is decoded at all. max_s: seconds that decoding one image may be estimated to take."""

    max_pixels: int
    max_s: float

    def check(self, frame: IncomingImage) -> None:
        """Raises BadImage (with `seq`) when it has too many pixels, or decoding it would take too long."""
        if isinstance(frame, EncodedImage):
            width, height = frame.width, frame.height
        elif isinstance(frame.image, np.ndarray):
            height, width = frame.image.shape[:2]
        else:
            return
        if width * height > self.max_pixels:
            error = BadImage(f"{width} x {height} pixels are more than the {self.max_pixels} that are taken")
            raise about(frame.seq, error)
        seconds = image_cost(frame).seconds
        if seconds > self.max_s and isinstance(frame, EncodedImage) and frame.file is not None:
            what = f"a {frame.file.coding} of {width} x {height} pixels takes about {seconds:.2f} s to decode"
            error = BadImage(f"{what}, more than the {self.max_s:g} s that are given; send it smaller")
            raise about(frame.seq, error)


class FrameMapper:
    """Images as clients send them, onto one bundle's input. Shared by all streams of the bundle."""

    __slots__ = ("_input", "_limits")

    def __init__(self, spec: BundleSpec, start: Start, limits: ImageLimits) -> None:
        """Raises UnsupportedInput when the bundle takes no images, or `start` announces something else."""
        if not isinstance(spec.input, FrameInput) or takes_both(spec) or start.input != "frame":
            raise unsupported(spec, start.input)
        self._input = spec.input
        self._limits = limits

    def accept(self, frame: IncomingImage) -> list[IncomingImage]:
        """The rows of a frame: one, not decoded yet.

        Raises BadImage (with `seq`) when it has too many pixels, or decoding it would take too long.
        """
        self._limits.check(frame)
        return [frame]

    cost = staticmethod(image_cost)

    def decode(self, frame: IncomingImage) -> Pixels:
        """uint8 (height, width, 3) of the bundle's input. Any thread. Raises BadImage, with `seq`."""
        try:
            return fitted(frame, self._input.height, self._input.width, self._input.fit)
        except (BadImage, VideoError) as error:
            raise about(frame.seq, BadImage(str(error))) from None

    def prepare(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Decoded rows (B, height, width, 3) are the step's input as they are."""
        return batch


def fitted(frame: IncomingImage, height: int, width: int, fit: FitPolicy) -> Pixels:
    """The frame upright, as contiguous uint8 RGB (height, width, 3). Raises BadImage when it cannot be decoded."""
    return fit_image(decoded(frame, (height, width, fit)), height, width, fit)


def decoded(frame: IncomingImage, *sizes: tuple[int, int, FitPolicy]) -> Pixels:
    """The frame upright, as uint8 RGB; smaller than it is where that costs `fit_image` nothing that it would keep.

    sizes: height, width and fit of all that is made of it. Raises BadImage when it cannot be decoded.
    """
    if isinstance(frame, ImageFrame):
        image = frame.image if isinstance(frame.image, np.ndarray) else frame.image()
    elif frame.file is not None:
        least = min(reduction(frame.height, frame.width, *size) for size in sizes)
        image = decode_image(frame.data, frame.file, least if frame.file.coding in JPEG else 1)
    elif frame.format == RGB:
        image = np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 3)
    else:
        assert frame.format == NV12  # noqa: S101 -- no other was unpacked
        planes = np.frombuffer(frame.data, np.uint8).reshape(frame.height * 3 // 2, frame.width)
        image = _pixels(cv2.cvtColor(planes, cv2.COLOR_YUV2RGB_NV12))
    if isinstance(frame, EncodedImage):
        image = upright(image, orientation_of(frame))
    return image


def orientation_of(frame: EncodedImage) -> int:
    """EXIF's 1 to 8, of the message or else of the file; 0: neither says."""
    return frame.orientation or (frame.file.orientation if frame.file else 0)


def upright(image: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation, 1 to 8; 0: there is none."""
    if orientation <= 1:
        return image
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def reduction(image_height: int, image_width: int, height: int, width: int, fit: FitPolicy) -> int:
    """By how much (1, 2, 4 or 8) a JPEG may be reduced while it is decoded, whichever way up it is."""
    pick = max if fit == "letterbox" else min
    scale = min(
        pick(image_height / height, image_width / width),
        pick(image_width / height, image_height / width),
    )
    return next((factor for factor in (8, 4, 2) if scale >= factor * MARGIN), 1)


def _pixels(image: Any) -> Pixels:
    return np.asarray(image, np.uint8)
