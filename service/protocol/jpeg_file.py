"""A JPEG's segments and scans, without decoding any. Pure. ITU-T T.81, annex B."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_facts import ImageFile, exif_orientation

MAGIC = b"\xff\xd8"
_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_SEQUENTIAL, _PROGRESSIVE = frozenset({0xC0, 0xC1}), 0xC2
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Lossless, hierarchical and arithmetic coding: no camera sends them."""
_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}
"""Markers without a length."""
_FILL = re.compile(rb"\xff+")
_SEGMENTS = 1000
"""Most segments before the pixels; usual are ten, and an ICC profile of 4 MB has 64."""
_SCANS = 100
"""Most scans; usual are ten. How much all of them may cost together is another question (`inputs.decode_cost`)."""


def segments(data: bytes, start: int) -> Iterator[tuple[int, int, int]]:
    """(marker, begin, end) of the body of each segment up to the first scan's header, which is the last.

    Raises BadImage, or struct.error or IndexError where the file ends.
    """
    at = start + 2
    for _ in range(_SEGMENTS):
        fill = _FILL.match(data, at)  # any number of them may fill up
        if fill is None:
            raise BadImage("the JPEG is broken: its header is no sequence of segments")
        marker, at = data[fill.end()], fill.end() + 1
        if marker in _BARE:
            continue
        if marker == _EOI:
            raise BadImage("the JPEG ends before its pixels")
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            raise BadImage("the JPEG is broken: a segment is shorter than its own length")
        if at + length > len(data):
            raise BadImage("the image ends within its header")
        yield marker, at + 2, at + length
        if marker == _SOS:
            return
        at += length
    raise BadImage(f"the JPEG has more than {_SEGMENTS} segments before its pixels")


def read(data: bytes, start: int) -> ImageFile:
    """Raises BadImage, or struct.error or IndexError where the file ends within its header."""
    frame: tuple[int, int, int, int] | None = None
    orientation = at = of_scan = 0
    for marker, begin, end in segments(data, start):
        if marker in _OTHER_FRAMES:
            raise BadImage("the JPEG is coded arithmetically or without loss, which is not read")
        if marker in _SEQUENTIAL or marker == _PROGRESSIVE:
            if frame is not None:
                raise BadImage("the JPEG is broken: it has two frame headers")
            precision, height, width, components = struct.unpack_from(">BHHB", data, begin)
            if precision != 8:
                raise BadImage(f"the JPEG has {precision} bits a sample; only 8 are read")
            if components not in (1, 3, 4):
                raise BadImage(f"the JPEG has {components} components; 1, 3 or 4 are read")
            if not height:
                raise BadImage("the JPEG tells its height after its pixels only (DNL), which is not read")
            frame = marker, width, height, components
        elif marker == _APP1 and not orientation and data.startswith(b"Exif\0\0", begin):
            orientation = exif_orientation(data[begin + 6 : end])
        elif marker == _SOS:
            at, of_scan = end, data[begin]
    if frame is None:
        raise BadImage("the JPEG is broken: its pixels come before their number")
    if data.rfind(b"\xff\xd9", at) < 0:  # from behind, where it should be: a search through the pixels takes its time
        raise BadImage("the JPEG is cut off: it has no end")
    marker, width, height, components = frame
    if marker in _SEQUENTIAL and of_scan == components:  # libjpeg reads no other scan then
        return ImageFile("jpeg", width, height, components, orientation=orientation)
    scans = 1 + data.count(b"\xff\xda", at)
    if scans > _SCANS:
        raise BadImage(f"the JPEG has more than {_SCANS} scans")
    return ImageFile("progressive jpeg", width, height, components, scans, orientation)
