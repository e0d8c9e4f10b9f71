"""Short texts drawn into pictures, smooth at any height. Pure; drawn four times as large and reduced."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

FONT = cv2.FONT_HERSHEY_SIMPLEX
LARGER = 4
_CAPITALS = 21.0
"""Pixels of a capital at scale 1."""
_BELOW = 0.4
"""Of a text's height, what hangs below its line."""


@lru_cache(maxsize=1024)
def lettering(text: str, height: int, bold: bool = False) -> NDArray[np.float32]:
    """How much of each pixel the text covers, (rows, columns), in [0, 1]. height: of a capital, in pixels."""
    text = drawable(text)
    scale = height * LARGER / _CAPITALS
    thick = max(1, round(height * LARGER * (0.17 if bold else 0.12)))
    (width, _), _ = cv2.getTextSize(text, FONT, scale, thick)
    rows, edge = round(height * (1 + _BELOW)) + 2, LARGER
    large = np.zeros((rows * LARGER, max(1, -(-(width + 2 * edge) // LARGER)) * LARGER), np.uint8)
    cv2.putText(large, text, (edge, (height + 1) * LARGER), FONT, scale, 255, thick, cv2.LINE_AA)
    size = large.shape[1] // LARGER, rows
    return np.asarray(cv2.resize(large, size, interpolation=cv2.INTER_AREA) / np.float32(255), np.float32)


def drawable(text: str) -> str:
    """The text in the letters that the font has: accents are left out, other letters become `?`."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("_", " "))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in plain)


def write(
    image: NDArray[np.uint8], text: str, at: tuple[int, int], height: int, colour: tuple[int, int, int], bold: bool
) -> None:
    """Write into RGB (height, width, 3), in place; at: left and top. What lies outside is left out."""
    mask = lettering(text, height, bold)
    left, top = at
    rows, columns = image.shape[:2]
    y0, y1 = max(top, 0), min(top + mask.shape[0], rows)
    x0, x1 = max(left, 0), min(left + mask.shape[1], columns)
    if y0 >= y1 or x0 >= x1:
        return
    covered = mask[y0 - top : y1 - top, x0 - left : x1 - left, None]
    under = image[y0:y1, x0:x1]
    under[:] = np.rint(under + (np.array(colour, np.float32) - under) * covered).astype(np.uint8)
