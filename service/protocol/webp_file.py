"""A WebP's chunks, without decoding any. Pure. RFC 9649."""

from __future__ import annotations

import struct

from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_facts import ImageFile

_CHUNKS = 64
"""Most chunks; usual are one to six."""
_ANIMATED, _ALPHA = 0x02, 0x10


def read(data: bytes, start: int) -> ImageFile:
    """Raises BadImage, or struct.error or IndexError where the file ends within its header."""
    (length,) = struct.unpack_from("<I", data, start + 4)
    whole = start + 8 + length
    if whole > len(data):
        raise BadImage("the WebP is cut off: it is shorter than it says")
    at, canvas, sample_bytes = start + 12, None, 3
    for number in range(_CHUNKS):
        if at + 8 > whole:
            raise BadImage("the WebP is broken: it has no pixels")
        kind, length = struct.unpack_from("<4sI", data, at)
        body, at = at + 8, at + 8 + length + length % 2
        if body + length > whole:
            raise BadImage(f"the WebP is cut off: a chunk says that it has {length} bytes, more than there are")
        if kind in (b"VP8 ", b"VP8L"):
            found = _lossy(data, body, sample_bytes) if kind == b"VP8 " else _lossless(data, body)
            if canvas not in (None, (found.width, found.height)):
                raise BadImage("the WebP is broken: its pixels do not fill its canvas")
            return found
        if kind in (b"ANIM", b"ANMF") or (kind == b"VP8X" and data[body] & _ANIMATED):
            raise BadImage("an animated WebP is a clip, not a frame")
        if kind == b"VP8X" and not number:
            sizes = data[body + 4 : body + 7], data[body + 7 : body + 10]
            canvas = int.from_bytes(sizes[0], "little") + 1, int.from_bytes(sizes[1], "little") + 1
            sample_bytes = 4 if data[body] & _ALPHA else 3
        elif not number:
            raise BadImage("the WebP is broken: its first chunk is no image")
    raise BadImage(f"the WebP has more than {_CHUNKS} chunks before its pixels")


def _lossy(data: bytes, body: int, sample_bytes: int) -> ImageFile:
    if data[body + 3 : body + 6] != b"\x9d\x01\x2a":
        raise BadImage("the WebP is broken: it has no key frame")
    width, height = struct.unpack_from("<HH", data, body + 6)
    return ImageFile("lossy webp", width & 0x3FFF, height & 0x3FFF, sample_bytes)


def _lossless(data: bytes, body: int) -> ImageFile:
    if data[body] != 0x2F:
        raise BadImage("the WebP is broken: its lossless header has another signature")
    (bits,) = struct.unpack_from("<I", data, body + 1)
    return ImageFile("lossless webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, 4)
