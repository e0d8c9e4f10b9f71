"""A PNG is checked to its last byte, and comes to OpenCV without what makes no pixels: the same pixels, no raw line."""

from __future__ import annotations

import zlib
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.service.inputs.image_decoder import decode_image
from inkling.service.inputs.png_pixels import plain_png
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_file import image_file
from tests.support import picture

MAGIC = b"\x89PNG\r\n\x1a\n"


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def header(width: int, height: int, depth: int, colour: int, interlace: int = 0) -> bytes:
    numbers = bytes([depth, colour, 0, 0, interlace])
    return MAGIC + chunk(b"IHDR", width.to_bytes(4, "big") + height.to_bytes(4, "big") + numbers)


def png(rows: bytes, *, head: bytes, before: bytes = b"", packed: bytes | None = None) -> bytes:
    data = zlib.compress(rows) if packed is None else packed
    return head + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def by_opencv(data: bytes) -> NDArray[Any]:
    image: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.asarray(image)


def decoded(data: bytes) -> NDArray[np.uint8]:
    return decode_image(memoryview(data), image_file(data))


def interlaced() -> bytes:
    """From FFmpeg's encoder, which can interlace."""
    codec: Any = av.CodecContext.create("png", "w")
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 37, 29, "rgb24", 1
    codec.flags |= 1 << 29 | 1 << 18  # interlaced
    packets = codec.encode(av.VideoFrame.from_ndarray(picture(29, 37), format="rgb24"))
    return b"".join(bytes(packet) for packet in [*packets, *codec.encode(None)])


NUMBERS = np.random.default_rng(0)
PALETTE = bytes(range(21))


def random_rows(height: int, row_bytes: int) -> bytes:
    return b"".join(bytes([i % 5]) + NUMBERS.integers(0, 256, row_bytes, np.uint8).tobytes() for i in range(height))


KINDS = {
    **{f"grey of {depth} bits": png(random_rows(7, -(-9 * depth // 8)), head=header(9, 7, depth, 0))
       for depth in (1, 2, 4, 8, 16)},
    **{f"rgb of {depth} bits": png(random_rows(7, 9 * 3 * depth // 8), head=header(9, 7, depth, 2))
       for depth in (8, 16)},
    **{f"grey with alpha of {depth} bits": png(random_rows(7, 9 * 2 * depth // 8), head=header(9, 7, depth, 4))
       for depth in (8, 16)},
    **{f"rgb with alpha of {depth} bits": png(random_rows(7, 9 * 4 * depth // 8), head=header(9, 7, depth, 6))
       for depth in (8, 16)},
    **{f"a short palette of {depth} bits": png(random_rows(7, -(-9 * depth // 8)), head=header(9, 7, depth, 3),
       before=chunk(b"PLTE", PALETTE[: 3 << depth])) for depth in (1, 2, 4, 8)},
    "a palette with transparency": png(random_rows(7, 9), head=header(9, 7, 8, 3),
                                       before=chunk(b"PLTE", PALETTE) + chunk(b"tRNS", b"\0\x80\xff")),
    "one colour transparent": png(random_rows(7, 27), head=header(9, 7, 8, 2), before=chunk(b"tRNS", bytes(6))),
    "a gamma": png(random_rows(7, 27), head=header(9, 7, 8, 2), before=chunk(b"gAMA", (45455).to_bytes(4, "big"))),
    "interlaced": interlaced(),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_opencv_s_pixels(kind: str) -> None:
    np.testing.assert_array_equal(decoded(KINDS[kind]), by_opencv(KINDS[kind]))


def test_an_interlaced_png_was_among_them() -> None:
    assert KINDS["interlaced"][28] == 1


ROWS = random_rows(7, 27)
HEAD = header(9, 7, 8, 2)
PACKED = zlib.compress(ROWS)
HARMLESS = {
    "profile": png(ROWS, head=HEAD, before=chunk(b"iCCP", b"x\0\0zzzz")),
    "bad gamma": png(ROWS, head=HEAD, before=chunk(b"gAMA", b"\0")),
    "bad palette": png(ROWS, head=HEAD, before=chunk(b"PLTE", b"\0\0")),
    "bytes behind the pixels": png(b"", head=HEAD, packed=PACKED + b"xxxxxxxxx"),
    "pixels behind the pixels": png(ROWS + bytes(100_000), head=HEAD),
    "pixels in pieces": HEAD + b"".join(chunk(b"IDAT", PACKED[i : i + 40]) for i in range(0, len(PACKED), 40))
    + chunk(b"IEND", b""),
}  # fmt: skip


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_is_harmless_never_reaches_libpng(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    np.testing.assert_array_equal(decoded(HARMLESS[kind]), by_opencv(png(ROWS, head=HEAD)))
    assert capfd.readouterr().err == ""


DAMAGED = {
    "checksum": png(ROWS, head=HEAD)[:-20] + b"\0" + png(ROWS, head=HEAD)[-19:],
    "too few pixels": png(ROWS[:-1], head=HEAD),
    "cut stream": png(b"", head=HEAD, packed=PACKED[:-10]),
    "checksum of the stream": png(b"", head=HEAD, packed=PACKED[:-1] + bytes([PACKED[-1] ^ 1])),
    "no stream": png(b"", head=HEAD, packed=b"zzzzzzzzzz"),
    "filter": png(b"\x09" + ROWS[1:], head=HEAD),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_is_damaged_is_refused_before_libpng_sees_it(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadImage, match="damaged"):
        decoded(DAMAGED[kind])
    assert capfd.readouterr().err == ""


def test_every_single_byte_of_a_png_counts() -> None:
    whole = png(ROWS, head=HEAD)
    for at in range(len(whole)):
        changed = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
        with pytest.raises(BadImage):
            decoded(changed)


def test_a_stream_that_inflates_to_far_more_than_its_pixels_is_not_inflated() -> None:
    assert len(plain_png(png(ROWS + bytes(10**8), head=HEAD))) < 2 * len(ROWS) + 200
