"""The facts about an image file that its structure tells, the same for every kind."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

Coding = Literal["jpeg", "progressive jpeg", "png", "lossy webp", "lossless webp"]
"""`jpeg`: each pixel is coded in one go. `progressive jpeg`: each scan goes over the pixels again."""

_ORIENTATION, _SHORT = 0x0112, 3


@dataclass(frozen=True, slots=True)
class ImageFile:
    """width, height: in pixels, as stored. sample_bytes: of one pixel of all components, as the decoder has it.

    scans: passes over the pixels. orientation: 1 to 8, of the file's EXIF; 0 where it says none, and for WebP.
    """

    coding: Coding
    width: int
    height: int
    sample_bytes: int
    scans: int = 1
    orientation: int = 0

    @property
    def pixels(self) -> int:
        return self.width * self.height


def exif_orientation(tiff: bytes) -> int:
    """The orientation, 1 to 8, in an EXIF block that begins with its byte order; 0: it has none that can be read."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 10:
        return 0
    (at,) = struct.unpack_from(f"{order}I", tiff, 4)
    if at + 2 > len(tiff):
        return 0
    (entries,) = struct.unpack_from(f"{order}H", tiff, at)
    for entry in range(at + 2, min(at + 2 + 12 * entries, len(tiff) - 11), 12):
        tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and 1 <= value <= 8 else 0
    return 0
