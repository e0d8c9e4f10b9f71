"""A client's images, made ready for the wire: no larger than is of use, as JPEG. Needs OpenCV."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.service.client.errors import BadArgument
from inkling.service.client.target import SentImage
from inkling.service.protocol.image_binary import Pixels

OF_USE = 2
"""Times the size that the model sees: what is sent beyond that changes nothing and costs time on the way."""
QUALITY = 90
MOST_RAW = 1280 * 1024
"""Pixels of an image that is sent raw: 3.75 MiB, and a server takes 4 by default."""


def encode_image(
    image: NDArray[Any], model_size: tuple[int, int] | None = None, *, bgr: bool = False, quality: int = QUALITY
) -> SentImage:
    """The JPEG file of uint8 RGB (height, width, 3), or with `bgr` of BGR as OpenCV has it.

    model_size: (width, height) that the model sees; a larger image is reduced to twice that, its shape kept.
    Raises BadArgument for anything that is no such image.
    """
    image = _checked(image, bgr)
    height, width = image.shape[:2]
    if model_size is not None:
        scale = OF_USE * max(model_size[0] / width, model_size[1] / height)
        if scale < 1:
            image = _reduced(image, scale)
    good, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not good:
        raise BadArgument(f"an image of shape {image.shape} cannot be written as JPEG")
    return SentImage(data.tobytes(), (width / image.shape[1], height / image.shape[0]))


def plain_image(image: NDArray[Any], *, bgr: bool = False) -> SentImage:
    """The pixels of uint8 RGB (height, width, 3) as they are, or reduced to `MOST_RAW`. Raises BadArgument."""
    image = _checked(image, bgr)
    height, width = image.shape[:2]
    if height * width > MOST_RAW:
        image = _reduced(image, math.sqrt(MOST_RAW / (height * width)) * 0.999)
    return SentImage(image, (width / image.shape[1], height / image.shape[0]))


def _checked(image: NDArray[Any], bgr: bool) -> Pixels:
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise BadArgument(f"an image is uint8 (height, width, 3), not {image.dtype} {image.shape}")
    return np.ascontiguousarray(image[..., ::-1] if bgr else image)


def _reduced(image: Pixels, scale: float) -> Pixels:
    height, width = image.shape[:2]
    smaller = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), np.uint8)
