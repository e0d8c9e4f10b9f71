"""From a decoded image of any size to what a frame bundle takes: the one preprocessing of training and service.

Both wings call `fit_image`, so a model is served the pixels that it was trained on. Only size and padding are decided
here; normalisation is inside the step graph.
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

FitPolicy = Literal["letterbox", "stretch", "crop"]
"""`letterbox` keeps the whole image and its aspect ratio, the rest is black; `stretch` distorts; `crop` fills the
input and cuts off what is too much on both sides."""

PIXELS_VERSION = 1
"""Raised whenever the same image would give other pixels: part of every cache key of prepared clips."""

Image = NDArray[np.uint8]


def fit_image(image: NDArray[Any], height: int, width: int, fit: FitPolicy = "letterbox") -> Image:
    """RGB uint8 (h, w, 3) of any size -> contiguous uint8 (height, width, 3), centred.

    Shrinking averages areas (no aliasing), enlarging interpolates linearly. Raises ValueError for anything else than
    such an image.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ValueError(f"an image is uint8 (height, width, 3), not {image.dtype} {image.shape}")
    if fit == "crop":
        image = _cropped(image, height, width)
    inner_height, inner_width = inner_size(image.shape[0], image.shape[1], height, width, fit)
    inner = image
    if inner.shape[:2] != (inner_height, inner_width):
        shrinks = inner_height <= image.shape[0] and inner_width <= image.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        inner = np.asarray(cv2.resize(image, (inner_width, inner_height), interpolation=method), np.uint8)
    if (inner_height, inner_width) == (height, width):
        return np.ascontiguousarray(inner)
    fitted = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    fitted[top : top + inner_height, left : left + inner_width] = inner
    return fitted


def inner_size(
    image_height: int, image_width: int, height: int, width: int, fit: FitPolicy = "letterbox"
) -> tuple[int, int]:
    """(height, width) in pixels of the part of the input that the image covers; a decoder need not give more."""
    if fit != "letterbox":
        return height, width
    scale = min(height / image_height, width / image_width)
    return max(1, min(height, round(image_height * scale))), max(1, min(width, round(image_width * scale)))


def _cropped(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """The largest centred part of the image with the aspect ratio of the input."""
    image_height, image_width = image.shape[:2]
    scale = min(image_height / height, image_width / width)
    part_height = max(1, min(image_height, round(height * scale)))
    part_width = max(1, min(image_width, round(width * scale)))
    top, left = (image_height - part_height) // 2, (image_width - part_width) // 2
    return image[top : top + part_height, left : left + part_width]


Turn = Literal[0, 90, 180, 270]
"""Degrees clockwise by which a picture is turned, so that people in it stand upright."""
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turned(image: Image, degrees: Turn) -> Image:
    """A picture (h, w, 3) uint8 of a camera that does not hang upright, as it should be seen."""
    return image if degrees == 0 else np.asarray(cv2.rotate(image, _TURNS[degrees]), np.uint8)
