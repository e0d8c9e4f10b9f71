"""What is known of an image file before anything of it is decoded: its whole structure is walked. Pure, bounded.

A decoder believes what a file claims: OpenCV takes 2 GB for a chunk of a PNG that says so. Here every length is held
against the bytes that are there, and the numbers from which the cost of decoding follows are read.
"""

from __future__ import annotations

import struct

from inkling.service.protocol import jpeg_file, png_file, webp_file
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_facts import ImageFile

MAX_SIDE = 2**16 - 1
"""What a JPEG can say. The decoders of the other kinds have limits of their own, which they report on stderr."""


def image_file(data: bytes, start: int = 0) -> ImageFile:
    """The JPEG, PNG or WebP that begins at `data[start]`, told apart by its first bytes. Raises BadImage."""
    try:
        if data.startswith(jpeg_file.MAGIC, start):
            file = jpeg_file.read(data, start)
        elif data.startswith(png_file.MAGIC, start):
            file = png_file.read(data, start)
        elif data.startswith(b"RIFF", start) and data.startswith(b"WEBP", start + 8):
            file = webp_file.read(data, start)
        else:
            raise BadImage("the image is no JPEG, PNG or WebP; raw pixels need their format in the header")
    except (struct.error, IndexError):
        raise BadImage("the image ends within its header") from None
    if not file.width or not file.height:
        raise BadImage(f"the image says that it has {file.width} x {file.height} pixels")
    if max(file.width, file.height) > MAX_SIDE:
        raise BadImage(f"{file.width} x {file.height}: no side may be longer than {MAX_SIDE} pixels")
    return file
