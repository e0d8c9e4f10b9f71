"""How large an image is, from the first bytes of its file, so that a bomb is refused before anything is decoded. Pure.

JPEG (every coding that libjpeg reads), PNG and WebP, told apart by their first bytes.
"""

from __future__ import annotations

import struct

from inkling.service.protocol.errors import BadImage

_PNG = b"\x89PNG\r\n\x1a\n"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's SOF markers."""
_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}
"""JPEG markers without a length."""
_SEQUENTIAL = frozenset({0xC0, 0xC1})
"""Of these the ones that code a pixel in one go: where the first scan has all components, libjpeg reads no other."""
_SCANS = 100
"""Most scans of a progressive JPEG: usual are ten, and each costs a pass over the whole image."""


def file_size(data: bytes, start: int = 0) -> tuple[int, int]:
    """(width, height) in pixels, as stored, of the image file that begins at `data[start]`. Raises BadImage."""
    try:
        if data.startswith(b"\xff\xd8", start):
            width, height = _jpeg(data, start)
        elif data.startswith(_PNG, start):
            width, height = _png(data, start)
        elif data.startswith(b"RIFF", start) and data.startswith(b"WEBP", start + 8):
            width, height = _webp(data, start)
        else:
            raise BadImage("the image is no JPEG, PNG or WebP; raw pixels need their format in the header")
    except (struct.error, IndexError):
        raise BadImage("the image ends within its header") from None
    if not width or not height:
        raise BadImage(f"the image says that it has {width} x {height} pixels")
    return width, height


def _jpeg(data: bytes, start: int) -> tuple[int, int]:
    at, size = start + 2, None
    components = 0  # of a sequential image
    while True:
        if data[at] != 0xFF:
            raise BadImage("the JPEG is broken: its header is no sequence of segments")
        while data[at] == 0xFF:  # any number of them may fill up
            at += 1
        marker = data[at]
        at += 1
        if marker in _BARE:
            continue
        if marker == 0xDA:
            break
        if marker == 0xD9:
            raise BadImage("the JPEG ends before its pixels")
        if marker in _FRAMES:
            if size is not None:
                raise BadImage("the JPEG is broken: it has two frame headers")
            height, width = struct.unpack_from(">HH", data, at + 3)
            size = width, height
            if marker in _SEQUENTIAL:
                components = data[at + 7]
        (length,) = struct.unpack_from(">H", data, at)
        if length < 2:
            raise BadImage("the JPEG is broken: a segment is shorter than its own length")
        at += length
    if size is None:
        raise BadImage("the JPEG is broken: its pixels come before their number")
    if data.rfind(b"\xff\xd9", at) < 0:  # from behind, where it should be: a search through the pixels takes its time
        raise BadImage("the JPEG is cut off: it has no end")
    if (not components or data[at + 2] != components) and data.count(b"\xff\xda", at) >= _SCANS:
        raise BadImage(f"the JPEG has more than {_SCANS} scans")
    return size


def _png(data: bytes, start: int) -> tuple[int, int]:
    if not data.startswith(b"\0\0\0\rIHDR", start + 8):
        raise BadImage("the PNG is broken: it does not begin with its header")
    width, height = struct.unpack_from(">II", data, start + 16)
    if data.find(b"IEND", start) < 0:
        raise BadImage("the PNG is cut off: it has no end")
    return width, height


def _webp(data: bytes, start: int) -> tuple[int, int]:
    kind = data[start + 12 : start + 16]
    body = start + 20
    (length,) = struct.unpack_from("<I", data, start + 4)
    if length > len(data) - start - 8:
        raise BadImage("the WebP is cut off: it is shorter than it says")
    if kind == b"VP8X":
        if data[body] & 0x02:
            raise BadImage("an animated WebP is a clip, not a frame")
        width, height = data[body + 4 : body + 7], data[body + 7 : body + 10]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if kind == b"VP8 ":
        if data[body + 3 : body + 6] != b"\x9d\x01\x2a":
            raise BadImage("the WebP is broken: it has no key frame")
        width, height = struct.unpack_from("<HH", data, body + 6)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        if data[body] != 0x2F:
            raise BadImage("the WebP is broken: its lossless header has another signature")
        (bits,) = struct.unpack_from("<I", data, body + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise BadImage("the WebP is broken: its first chunk is no image")
