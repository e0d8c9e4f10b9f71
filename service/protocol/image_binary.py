"""Images as frames of a stream: their binary layout on the wire, and what is known of one before it is decoded.

Little-endian; one image a message, which is the whole of a frame:

    offset  size  field
         0     4  magic, the bytes "INKL"
         4     1  version of this layout, 1
         5     1  kind, 2: image
         6     2  format, u16; 0: JPEG, PNG or WebP, told by its own first bytes; 1: raw RGB; 2: NV12
         8     8  seq, u64 (below 2**53)
        16     8  pts_s, f64; NaN: stamp on arrival
        24     2  width in pixels, u16; 0 for format 0, which says it itself
        26     2  height, likewise
        28     1  orientation, 1 to 8 as in EXIF; 0: as the image says itself, raw ones upright
        29     3  zero
        32        the image: a file's bytes; raw RGB: height x width x 3 bytes; NV12: height x width bytes of Y, then
                  height/2 x width bytes of interleaved U and V, both sides even

The first 24 bytes are common to every kind of binary message.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from inkling.service.protocol.binary_header import IMAGES, MAX_SEQ, Header
from inkling.service.protocol.errors import BadImage, BadMessage, BadTime
from inkling.service.protocol.image_facts import ImageFile
from inkling.service.protocol.image_file import image_file
from inkling.service.protocol.pose_binary import about

FILE, RGB, NV12 = 0, 1, 2
HEADER = Header(IMAGES, "HHB3x")
Pixels = NDArray[np.uint8]


@dataclass(slots=True)
class ImageFrame:
    """A frame with its pixels: what a source or a video gives to `AdmittedStream.receive`.

    image: uint8 RGB (height, width, 3), upright, of any size; or a function that makes it, called at most once, on a
    decoder's thread, and not at all for a frame that is skipped or dropped. pts_s: seconds >= 0, or None: stamp on
    arrival. size: (width, height) of the camera's picture, where `image` is a smaller copy of it.
    """

    tracks: ClassVar[Sequence[int]] = (0,)
    """A stream of images is one track."""

    seq: int
    pts_s: float | None
    image: Pixels | Callable[[], Pixels]
    size: tuple[int, int] | None = None


@dataclass(slots=True)
class EncodedImage:
    """A frame as it came over the wire, not decoded. width, height: as stored, before `orientation` is applied.

    file: what the structure of a file says; None for raw pixels.
    """

    tracks: ClassVar[Sequence[int]] = (0,)

    seq: int
    pts_s: float | None
    format: int
    width: int
    height: int
    orientation: int
    data: memoryview
    file: ImageFile | None = None


def pack_image(
    seq: int,
    image: bytes | memoryview | Pixels,
    pts_s: float | None = None,
    *,
    nv12: bool = False,
    orientation: int = 0,
) -> bytes:
    """The bytes of one frame. image: a JPEG, PNG or WebP file's bytes; RGB (height, width, 3), or with `nv12` the
    planes (height * 3 / 2, width), both uint8. Raises ValueError for anything else.
    """
    if not 0 <= seq < MAX_SEQ or not 0 <= orientation <= 8:
        raise ValueError("seq must be in [0, 2**53) and orientation in [0, 8]")
    kind, height, width = FILE, 0, 0
    if isinstance(image, np.ndarray):
        kind = NV12 if nv12 else RGB
        if image.dtype != np.uint8 or (image.ndim != 2 if nv12 else image.shape[2:] != (3,)):
            raise ValueError(f"an image is uint8 (height, width, 3), NV12 (height * 3 / 2, width), not {image.shape}")
        height, width = image.shape[0] * 2 // 3 if nv12 else image.shape[0], image.shape[1]
        if not 0 < height < 2**16 or not 0 < width < 2**16 or image.size != _raw_bytes(kind, width, height):
            raise ValueError(f"an image of shape {image.shape} cannot be sent")
    time_s = math.nan if pts_s is None else pts_s
    header = HEADER.pack(kind, seq, time_s, width, height, orientation)
    return header + (image.tobytes() if isinstance(image, np.ndarray) else image)


def unpack_image(data: bytes) -> EncodedImage:
    """The frame in a binary message of kind 2; of a file the structure is read, no pixel.

    Raises BadMessage (no such layout), BadImage (no image, or not as long as it says) and BadTime, with the `seq`.
    """
    form, seq, pts_s, width, height, orientation = HEADER.unpack(data)
    if form not in (FILE, RGB, NV12) or orientation > 8:
        raise BadMessage(f"image format {form} with orientation {orientation} is not known, see /v1/protocol")
    if not (math.isnan(pts_s) or 0 <= pts_s < math.inf):
        raise about(seq, BadTime(f"pts_s must be seconds, 0 or later, not {pts_s}"))
    body = memoryview(data)[HEADER.size :]
    file = None
    if form == FILE:
        try:
            file = image_file(data, HEADER.size)
            width, height = file.width, file.height
        except BadImage as error:
            raise about(seq, error) from None
    elif not width or not height or (form == NV12 and (width % 2 or height % 2)):
        raise about(seq, BadImage(f"an image of {width} x {height} pixels cannot be (NV12: both even)"))
    elif len(body) != _raw_bytes(form, width, height):
        wanted = _raw_bytes(form, width, height)
        raise about(seq, BadImage(f"{width} x {height} pixels take {wanted} bytes, not {len(body)}"))
    return EncodedImage(seq, None if math.isnan(pts_s) else pts_s, form, width, height, orientation, body, file)


def _raw_bytes(form: int, width: int, height: int) -> int:
    return width * height * 3 if form == RGB else width * height * 3 // 2
