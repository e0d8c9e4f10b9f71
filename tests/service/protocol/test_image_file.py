"""What the structure of an image file tells, and which files are refused before anything of them is decoded."""

from __future__ import annotations

import contextlib
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_file import image_file
from tests.support import picture


def size(data: bytes) -> tuple[int, int]:
    file = image_file(data)
    return file.width, file.height


def encoded(image: NDArray[Any], kind: str, *options: int) -> bytes:
    good, data = cv2.imencode(kind, image, list(options))
    assert good
    return data.tobytes()


KINDS: list[tuple[str, tuple[int, ...]]] = [
    (".jpg", ()),
    (".jpg", (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
    (".jpg", (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)),
    (".png", ()),
    (".webp", (cv2.IMWRITE_WEBP_QUALITY, 50)),
    (".webp", (cv2.IMWRITE_WEBP_QUALITY, 101)),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (17, 300), (480, 640), (301, 16)])
def test_the_size_is_the_one_that_decoding_gives(kind: str, options: tuple[int, ...], shape: tuple[int, int]) -> None:
    assert size(encoded(picture(*shape), kind, *options)) == shape[::-1]


def test_the_size_of_an_image_with_transparency_or_in_grey() -> None:
    with_alpha = np.dstack([picture(20, 30), np.full((20, 30), 100, np.uint8)])
    assert size(encoded(with_alpha, ".png")) == (30, 20)
    assert size(encoded(with_alpha, ".webp")) == (30, 20)
    assert size(encoded(picture(20, 30)[..., 0], ".jpg")) == (30, 20)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_file_that_is_cut_anywhere_is_refused(kind: str, options: tuple[int, ...]) -> None:
    whole = encoded(picture(40, 50), kind, *options)
    for length in range(len(whole) - 8):
        with pytest.raises(BadImage):
            size(whole[:length])


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBPVP8 "]))
def test_any_bytes_are_a_size_or_a_typed_error(data: bytes, magic: bytes) -> None:
    try:
        width, height = size(magic + data)
    except BadImage:
        return
    assert width > 0
    assert height > 0


@given(st.data())
def test_a_damaged_file_is_a_size_or_a_typed_error(data: st.DataObject) -> None:
    whole = bytearray(data.draw(st.sampled_from(FILES)))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, min(len(whole) - 1, 700)))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadImage):
        assert all(size(bytes(whole)))


FILES = [encoded(picture(30, 40), kind, *options) for kind, options in KINDS]


def test_a_jpeg_of_endlessly_many_scans_is_refused() -> None:
    whole = encoded(picture(40, 50), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    with pytest.raises(BadImage, match="scans"):
        size(whole[:-2] + b"\xff\xda\0\x02" * 200 + whole[-2:])


def test_scans_are_counted_where_a_decoder_would_read_them() -> None:
    """libjpeg reads one scan of a sequential image that codes all components in it, however many follow."""
    whole = encoded(picture(40, 50), ".jpg")
    first = whole.index(b"\xff\xda")
    assert size(whole[:-2] + whole[first:-2] * 200 + whole[-2:]) == (50, 40)
    one_component = whole[: first + 4] + b"\1" + whole[first + 5 : -2] + whole[first:-2] * 200 + whole[-2:]
    with pytest.raises(BadImage, match="scans"):
        size(one_component)


def test_an_animated_webp_is_no_frame() -> None:
    header = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x0f\0\0\x0f\0\0"
    with pytest.raises(BadImage, match="animated"):
        size(header)


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


PNG = encoded(picture(30, 40), ".png")


def test_a_png_s_chunk_that_claims_more_than_there_is_is_refused() -> None:
    claims = PNG[:33] + (0x7000_0000).to_bytes(4, "big") + b"IDAT" + PNG[41:60]
    assert len(claims) < 93
    with pytest.raises(BadImage, match="1879048192 bytes, more than there are"):
        image_file(claims)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (PNG[:33] + PNG[8:], "two headers"),
        (PNG[:33] + chunk(b"ABCD", b"") + PNG[33:], "critical"),
        (PNG[:33] + chunk(b"acTL", bytes(8)) + PNG[33:], "animated"),
        (PNG[:33] + chunk(b"tEXt", b"") * 2000 + PNG[33:], "tiny chunks"),
        (PNG[:33] + chunk(b"IEND", b""), "no pixels"),
        (PNG[:24] + b"\x08\x03" + PNG[26:], "palette"),
        (PNG[:24] + b"\x03" + PNG[25:], "no PNG can be"),
        (PNG[:24] + b"\x08\x05" + PNG[26:], "no PNG can be"),
        (PNG[:28] + b"\x02" + PNG[29:], "no PNG can be"),
        (PNG[:16] + (70_000).to_bytes(4, "big") + PNG[20:], "no side"),
    ],
)
def test_a_png_that_no_decoder_should_see_is_refused(changed: bytes, words: str) -> None:
    with pytest.raises(BadImage, match=words):
        image_file(changed)


JPEG = encoded(picture(30, 40), ".jpg")
SOF = JPEG.index(b"\xff\xc0")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (JPEG[: SOF + 1] + b"\xc9" + JPEG[SOF + 2 :], "arithmetically"),
        (JPEG[: SOF + 1] + b"\xc3" + JPEG[SOF + 2 :], "without loss"),
        (JPEG[: SOF + 4] + b"\x0c" + JPEG[SOF + 5 :], "12 bits"),
        (JPEG[: SOF + 5] + b"\0\0" + JPEG[SOF + 7 :], "DNL"),
        (JPEG[: SOF + 9] + b"\x02" + JPEG[SOF + 10 :], "components"),
        (JPEG[:2] + b"\xff\xfe\0\x02" * 2000 + JPEG[2:], "segments"),
    ],
)
def test_a_jpeg_of_a_kind_that_is_not_read_is_refused(changed: bytes, words: str) -> None:
    with pytest.raises(BadImage, match=words):
        image_file(changed)


def test_fill_bytes_before_a_marker_mean_nothing() -> None:
    assert size(JPEG[:2] + b"\xff" * 100_000 + JPEG[2:]) == (40, 30)


def test_the_passes_of_a_jpeg_over_its_pixels_are_known() -> None:
    progressive = encoded(picture(30, 40), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert (image_file(JPEG).coding, image_file(JPEG).scans) == ("jpeg", 1)
    assert (image_file(progressive).coding, image_file(progressive).scans) == ("progressive jpeg", 10)


def test_a_webp_whose_pixels_are_not_as_large_as_its_canvas_is_refused() -> None:
    plain = encoded(picture(30, 40), ".webp", cv2.IMWRITE_WEBP_QUALITY, 50)

    def on_canvas(width: int, height: int) -> bytes:
        canvas = b"VP8X\x0a\0\0\0" + bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = b"WEBP" + canvas + plain[12:]
        return b"RIFF" + len(body).to_bytes(4, "little") + body

    assert size(on_canvas(40, 30)) == (40, 30)
    with pytest.raises(BadImage, match="canvas"):
        image_file(on_canvas(16384, 16384))
