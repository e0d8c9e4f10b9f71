"""From a picture of any size to the input of an estimator, and its answers back into pixels of the picture. Pure.

The picture keeps its aspect ratio. It fills the input's width or height; the other side is rounded up to a multiple
that the graph takes, and the rest is black. So a 16:9 film costs a fifth less than a 4:3 one, a portrait film gets a
portrait input, and cameras of one format share their batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkling.models.people.detections import Detections
from inkling.models.resize import Image, fit_image, inner_size


@dataclass(frozen=True, slots=True)
class InputSize:
    """What sizes a graph takes. height, width: what a landscape picture is to fit into; a portrait one turns them.

    multiple_of: both sides of an input are multiples of it. fixed: height and width are the only size.
    """

    height: int
    width: int
    multiple_of: int
    fixed: bool = False

    def scaled(self, longer_side: int) -> InputSize:
        """The same format with another longer side, rounded up to the multiple. A fixed size stays as it is."""
        if self.fixed:
            return self
        by = longer_side / max(self.height, self.width)
        return InputSize(self._up(self.height * by), self._up(self.width * by), self.multiple_of)

    def of_picture(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the input for a picture of that size."""
        if self.fixed:
            return self.height, self.width
        inner = self.inner(height, width)
        return self._up(inner[0]), self._up(inner[1])

    def inner(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) of the part of the input that such a picture covers."""
        if self.fixed:
            return inner_size(height, width, self.height, self.width)
        return within(height, width, self.height, self.width)

    def _up(self, side: float) -> int:
        return max(1, math.ceil(round(side, 6) / self.multiple_of)) * self.multiple_of


def within(height: int, width: int, rows: int, columns: int) -> tuple[int, int]:
    """(height, width) of a picture of that size that fills `rows` x `columns`, which turn for a portrait one."""
    longer, shorter = max(rows, columns), min(rows, columns)
    return inner_size(height, width, *((shorter, longer) if width >= height else (longer, shorter)))


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a picture of `width` x `height` lies in an input: from `left`, `top` on, `scale` (x, y) times as large."""

    width: int
    height: int
    left: int
    top: int
    scale: tuple[float, float]

    def in_picture(self, found: Detections, slack: float) -> Detections:
        """Detections in pixels of the input as such in pixels of the picture.

        Boxes end at the picture's border. A joint that lies outside of the picture by more than `slack` pixels of the
        input cannot have been seen: it becomes missing.
        """
        low = np.array([self.left, self.top], np.float32)
        by = np.array(self.scale, np.float32)
        size = np.array([self.width, self.height], np.float32)
        boxes = np.clip((found.boxes.reshape(-1, 2, 2) - low) / by, 0, size).reshape(-1, 4)
        keypoints = found.keypoints.copy()
        keypoints[..., :2] = (keypoints[..., :2] - low) / by
        margin = slack / by
        points = keypoints[..., :2]
        inside = ((points >= -margin) & (points <= size + margin)).all(-1)
        keypoints[~inside | (found.keypoints[..., 2] <= 0)] = 0
        return Detections(boxes.astype(np.float32), found.scores, keypoints)


@dataclass(frozen=True, slots=True, eq=False)
class PreparedPicture:
    """A picture as an estimator takes it. pixels: (H, W, 3) uint8 RGB."""

    pixels: Image
    geometry: Geometry

    @property
    def shape(self) -> tuple[int, ...]:
        """Pictures of one shape can be estimated in one batch."""
        return self.pixels.shape


def prepare(picture: NDArray[np.uint8], size: InputSize) -> PreparedPicture:
    """RGB uint8 (h, w, 3) of any size -> an input that `size` allows. Raises ValueError for what is no such picture."""
    if picture.ndim != 3 or 0 in picture.shape:
        raise ValueError(f"a picture is uint8 (height, width, 3), not {picture.dtype} {picture.shape}")
    height, width = picture.shape[:2]
    rows, columns = size.of_picture(height, width)
    inner = size.inner(height, width)
    top, left = (rows - inner[0]) // 2, (columns - inner[1]) // 2
    pixels = fit_image(picture, *inner, "stretch")
    if inner != (rows, columns):
        covered, pixels = pixels, np.zeros((rows, columns, 3), np.uint8)
        pixels[top : top + inner[0], left : left + inner[1]] = covered
    return PreparedPicture(pixels, Geometry(width, height, left, top, (inner[1] / width, inner[0] / height)))
