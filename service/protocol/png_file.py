"""A PNG's chunks, without inflating any. Pure. W3C PNG, 5.3 and 11.2."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_facts import ImageFile, exif_orientation

MAGIC = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_KNOWN = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND"})
"""The chunks without which a PNG cannot be read. Only another critical chunk (capital letter) is refused."""
_FEW, _BYTES_EACH = 64, 256
"""Most chunks: so many, and one more in so many bytes. An encoder's IDAT has 8 KB; a walk must not take a second."""


class PngHeader(NamedTuple):
    width: int
    height: int
    depth: int
    colour: int
    compression: int
    filtering: int
    interlace: int

    @property
    def bits(self) -> int:
        """Of one pixel, as stored."""
        return self.depth * _SAMPLES[self.colour]


def chunks(data: bytes, start: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, begin, end) of each chunk's body, IHDR first, IEND last; its checksum follows at `end`.

    Raises BadImage, or struct.error.
    """
    if not data.startswith(b"\0\0\0\rIHDR", start + 8):
        raise BadImage("the PNG is broken: it does not begin with its header")
    at = start + 8
    for number in range(_FEW + (len(data) - start) // _BYTES_EACH):
        if at + 12 > len(data):
            raise BadImage("the PNG is cut off: it has no end")
        length, kind = struct.unpack_from(">I4s", data, at)
        begin, end = at + 8, at + 8 + length
        if end + 4 > len(data):
            raise BadImage(f"the PNG is cut off: a chunk says that it has {length} bytes, more than there are")
        if kind == b"IHDR" and number:
            raise BadImage("the PNG is broken: it has two headers")
        if not kind[0] & 0x20 and kind not in _KNOWN:
            raise BadImage("the PNG is broken, or of a later kind: it has a critical chunk that is not known")
        yield kind, begin, end
        if kind == b"IEND":
            return
        at = end + 4
    raise BadImage("the PNG is made of too many tiny chunks")


def header(data: bytes, start: int) -> PngHeader:
    """What IHDR says, which comes first. Raises BadImage for a header that means nothing."""
    found = PngHeader(*struct.unpack_from(">IIBBBBB", data, start + 16))
    if found.depth not in _DEPTHS.get(found.colour, ()) or found.compression or found.filtering or found.interlace > 1:
        raise BadImage("the PNG is broken: its header says what no PNG can be")
    return found


def read(data: bytes, start: int) -> ImageFile:
    """Raises BadImage, or struct.error where the file ends within its header."""
    orientation = pixels = 0
    has_palette = False
    for kind, begin, end in chunks(data, start):
        if kind == b"IDAT":
            pixels += end - begin
        elif kind == b"PLTE":
            has_palette = not pixels and 0 < end - begin <= 768 and (end - begin) % 3 == 0
        elif kind == b"eXIf" and not orientation:
            orientation = exif_orientation(data[begin:end])
        elif kind == b"acTL":
            raise BadImage("an animated PNG is a clip, not a frame")
    found = header(data, start)
    if not pixels:
        raise BadImage("the PNG is broken: it has no pixels")
    if found.colour == 3 and not has_palette:
        raise BadImage("the PNG is broken: its colours are numbers of a palette that it does not have")
    size = found.width, found.height
    return ImageFile("png", *size, max(3, (found.bits + 7) // 8), orientation=orientation)
