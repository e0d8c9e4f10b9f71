"""From the bytes of an image file to RGB pixels, or to a refusal: what is damaged is never guessed.

OpenCV reads a JPEG with libjpeg-turbo and drops what it warns of: the lower half of a picture that was cut comes out
grey, and the warning goes to stderr. `simplejpeg` has the same decoder, gives the same pixels, and raises for a
warning. A PNG is inflated here first, and only what makes its pixels is handed to OpenCV; see `png_pixels`.
"""

from __future__ import annotations

import re
from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from inkling.service.inputs.png_pixels import plain_png
from inkling.service.protocol import jpeg_file
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_facts import ImageFile

Pixels = NDArray[np.uint8]

JPEG = ("jpeg", "progressive jpeg")
"""Codings that can be reduced while they are decoded."""
_PADDING = 3
"""So many bytes between the last pixel and the end of a JPEG are an encoder's padding; UVC cameras leave some. More of
them mean that the decoder lost its way."""
_PADDED = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_WRONG_SCAN = "Invalid SOS parameters for sequential JPEG"


def decode_image(data: memoryview, file: ImageFile, reduce: int = 1) -> Pixels:
    """uint8 RGB (height, width, 3) as stored, each side divided by `reduce` (1, 2, 4 or 8; JPEG alone) and rounded up.

    Raises BadImage with what the decoder says.
    """
    if file.coding in JPEG:
        return _jpeg(data, file, reduce)
    if file.coding == "png":
        data = memoryview(plain_png(bytes(data)))
    try:
        image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise BadImage(f"the image cannot be decoded: {error.err}") from None
    if image is None:
        raise BadImage("the image cannot be decoded: it is broken, or of a kind that is not read here")
    return np.asarray(image, np.uint8)


def decode_grey(data: memoryview, file: ImageFile, reduce: int) -> Pixels:
    """uint8 (height, width, 1) of a JPEG, without its colours; else as `decode_image`."""
    return _jpeg(data, file, reduce, "GRAY")


def _jpeg(data: memoryview, file: ImageFile, reduce: int, colours: str = "RGB") -> Pixels:
    try:
        return _strictly(data, file, reduce, colours)
    except ValueError as error:
        warning = str(error)
    if warning.startswith(_WRONG_SCAN):  # as some phones write them; libjpeg warns and does not use them
        return _jpeg(memoryview(_with_scan_mended(bytes(data))), file, reduce, colours)
    padded = _PADDED.search(warning)
    if padded and int(padded[1]) <= _PADDING:  # the first warning is the one that is told, and none follows this one
        return _strictly(data, file, reduce, colours, strict=False)
    raise BadImage(f"the JPEG is damaged: {warning}")


def _strictly(data: memoryview, file: ImageFile, reduce: int, colours: str, strict: bool = True) -> Pixels:
    """Raises ValueError with libjpeg's words."""
    smallest = (0, 0) if reduce == 1 else (-(-file.height // reduce), -(-file.width // reduce))
    image: Pixels = simplejpeg.decode_jpeg(
        data, colours, fastdct=False, fastupsample=False, min_height=smallest[0], min_width=smallest[1], strict=strict
    )
    return image


def _with_scan_mended(data: bytes) -> bytes:
    """The file with the numbers in its first scan's header that a sequential image does not use as they should be."""
    *_, (_, _, end) = jpeg_file.segments(data, 0)
    return data[: end - 3] + b"\0\x3f\0" + data[end:]
