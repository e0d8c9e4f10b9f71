"""A PNG as OpenCV is given it: checked to its last byte, and without anything that makes no pixels. Pure.

libpng writes each thing that displeases it to stderr, between the lines of the log, and inflates profiles and texts
that nobody looks at. So checksums are compared here, the pixels are inflated to exactly their size, and a plain file
is made: header, palette, the pixels stored without compression, end. Of 640 x 480 pixels that costs a tenth of the
decoding; of very large ones more than half, for which `decode_cost` allows.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.png_file import MAGIC, PngHeader, chunks, header

_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Of each pass of an interlaced image: its first column and row, and the steps between columns and rows."""
_FILTERS = 4
"""The last filter that a row may name."""


def plain_png(data: bytes) -> bytes:
    """The same pixels, in a file that no decoder stumbles over. Raises BadImage for a PNG that is damaged."""
    head = header(data, 0)
    palette, packed = b"", []
    for kind, begin, end in chunks(data, 0):
        # Named with its kind, a checksum covers that too.
        if zlib.crc32(data[begin - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise BadImage("the PNG is damaged: a chunk's checksum is not that of its bytes")
        if kind == b"IDAT":
            packed.append(data[begin:end])
        elif kind == b"PLTE" and head.colour == 3:
            palette = data[begin:end]
    rows = list(_rows(head))
    raw = _inflated(b"".join(packed), sum(count * size for count, size in rows))
    at = 0
    for count, size in rows:
        if max(raw[at : at + count * size : size]) > _FILTERS:
            raise BadImage("the PNG is damaged: a row is filtered in a way that there is not")
        at += count * size
    stored = zlib.compress(raw, 0)
    del raw  # each copy of a large picture counts
    parts = [MAGIC, *_chunk(b"IHDR", struct.pack(">IIBBBBB", *head))]
    if palette:  # a number beyond its end is black, as libpng has it
        parts += _chunk(b"PLTE", palette[: 3 << head.depth].ljust(3 << head.depth, b"\0"))
    return b"".join([*parts, *_chunk(b"IDAT", stored), *_chunk(b"IEND", b"")])


def _rows(head: PngHeader) -> Iterator[tuple[int, int]]:
    """How many rows of how many bytes, the byte that names the filter included, follow one another."""
    passes = _ADAM7 if head.interlace else ((0, 0, 1, 1),)
    for left, top, across, down in passes:
        width, height = -(-(head.width - left) // across), -(-(head.height - top) // down)
        if width > 0 and height > 0:
            yield height, 1 + (width * head.bits + 7) // 8


def _inflated(packed: bytes, size: int) -> bytes:
    """The first `size` bytes: what an encoder leaves behind them is no pixel. Raises BadImage."""
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(packed, size)
        if len(raw) == size and not stream.eof:
            stream.decompress(stream.unconsumed_tail, 1)  # the stream's own checksum
    except zlib.error:
        raise BadImage("the PNG is damaged: its pixels cannot be inflated") from None
    if len(raw) < size:
        raise BadImage(f"the PNG is damaged: it has {len(raw)} bytes of pixels, not {size}")
    return raw


def _chunk(kind: bytes, body: bytes) -> list[bytes]:
    return [struct.pack(">I", len(body)), kind, body, zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big")]
