"""What the structure of an image file tells, and which files are refused before anything of them is decoded."""

from __future__ import annotations

import contextlib
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
    assert file_size(encoded(picture(*shape), kind, *options)) == shape[::-1]


def test_the_size_of_an_image_with_transparency_or_in_grey() -> None:
    with_alpha = np.dstack([picture(20, 30), np.full((20, 30), 100, np.uint8)])
    assert file_size(encoded(with_alpha, ".png")) == (30, 20)
    assert file_size(encoded(with_alpha, ".webp")) == (30, 20)
    assert file_size(encoded(picture(20, 30)[..., 0], ".jpg")) == (30, 20)


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_a_file_that_is_cut_anywhere_is_refused(kind: str, options: tuple[int, ...]) -> None:
    whole = encoded(picture(40, 50), kind, *options)
    for length in range(len(whole) - 8):
        with pytest.raises(BadImage):
            file_size(whole[:length])


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBPVP8 "]))
def test_any_bytes_are_a_size_or_a_typed_error(data: bytes, magic: bytes) -> None:
    try:
        width, height = file_size(magic + data)
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
        assert all(file_size(bytes(whole)))


FILES = [encoded(picture(30, 40), kind, *options) for kind, options in KINDS]


def test_a_jpeg_of_endlessly_many_scans_is_refused() -> None:
    whole = encoded(picture(40, 50), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    with pytest.raises(BadImage, match="scans"):
        file_size(whole[:-2] + b"\xff\xda\0\x02" * 200 + whole[-2:])


def test_scans_are_counted_where_a_decoder_would_read_them() -> None:
    """libjpeg reads one scan of a sequential image that codes all components in it, however many follow."""
    whole = encoded(picture(40, 50), ".jpg")
    first = whole.index(b"\xff\xda")
    assert file_size(whole[:-2] + whole[first:-2] * 200 + whole[-2:]) == (50, 40)
    one_component = whole[: first + 4] + b"\1" + whole[first + 5 : -2] + whole[first:-2] * 200 + whole[-2:]
    with pytest.raises(BadImage, match="scans"):
        file_size(one_component)


def test_an_animated_webp_is_no_frame() -> None:
    header = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0\x0f\0\0\x0f\0\0"
    with pytest.raises(BadImage, match="animated"):
        file_size(header)
