"""Images on the wire, and their size read from their first bytes."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from inkling.service.protocol.codec import PackedPose, decode
from inkling.service.protocol.errors import BadImage, BadMessage, BadTime, ServiceError
from inkling.service.protocol.image_binary import FILE, HEADER, NV12, RGB, EncodedImage, pack_image, unpack_image
from inkling.service.protocol.image_size import file_size
from inkling.service.protocol.pose_binary import HEADER as POSE_HEADER
from inkling.service.protocol.pose_binary import pack_pose
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


# -- the layout ---------------------------------------------------------------------------------------------------
@given(
    st.integers(0, 2**53 - 1),
    st.none() | st.floats(0, 1e9),
    st.integers(0, 8),
    st.sampled_from(["file", "rgb", "nv12"]),
    st.integers(1, 6),
    st.integers(1, 6),
)
def test_what_is_packed_is_unpacked(
    seq: int, pts_s: float | None, orientation: int, kind: str, width: int, height: int
) -> None:
    width, height = (2 * width, 2 * height) if kind == "nv12" else (width, height)
    raw = {"rgb": (height, width, 3), "nv12": (height * 3 // 2, width)}.get(kind)
    image: Any = encoded(picture(height, width), ".png") if raw is None else np.ones(raw, np.uint8)
    frame = decode(pack_image(seq, image, pts_s, nv12=kind == "nv12", orientation=orientation))
    assert isinstance(frame, EncodedImage)
    assert (frame.seq, frame.pts_s, frame.orientation) == (seq, pts_s, orientation)
    assert (frame.width, frame.height) == (width, height)
    assert frame.format == {"file": FILE, "rgb": RGB, "nv12": NV12}[kind]
    assert bytes(frame.data) == (image if isinstance(image, bytes) else image.tobytes())


def test_the_layout_is_the_documented_one() -> None:
    image = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    data = pack_image(258, image, 1.5, orientation=3)
    assert data[:8] == b"INKL\x01\x02\x01\x00"
    assert data[8:16] == (258).to_bytes(8, "little")
    assert np.frombuffer(data[16:24], "<f8")[0] == 1.5
    assert data[24:32] == b"\x04\x00\x02\x00\x03\x00\x00\x00"
    assert data[32:] == image.tobytes()
    assert HEADER.size == POSE_HEADER.size == 32


def test_poses_are_still_poses() -> None:
    assert isinstance(decode(pack_pose(0, [1], np.ones((1, 13, 3)))), PackedPose)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({4: b"\x02"}, BadMessage),  # version
        ({6: b"\x03"}, BadMessage),  # format
        ({28: b"\x09"}, BadMessage),  # orientation
        ({8: (2**53).to_bytes(8, "little")}, BadMessage),  # seq
        ({16: np.float64(-1).tobytes()}, BadTime),
        ({16: np.float64(math.inf).tobytes()}, BadTime),
        ({24: b"\0\0"}, BadImage),  # no width
        ({26: b"\x03\0"}, BadImage),  # another height than there are bytes
        ({6: b"\x02", 24: b"\x03\0"}, BadImage),  # NV12 with an odd side
        ({6: b"\x00"}, BadImage),  # raw bytes that are no file
    ],
)
def test_a_wrong_header_is_a_typed_error(change: dict[int, bytes], error: type[ServiceError]) -> None:
    data = bytearray(pack_image(7, np.ones((4, 4, 3), np.uint8), 0.0))
    for offset, value in change.items():
        data[offset : offset + len(value)] = value
    with pytest.raises(error) as refusal:
        decode(bytes(data))
    if error is not BadMessage:
        assert refusal.value.seq == 7
        assert refusal.value.close is None


@given(st.binary(max_size=80))
def test_any_bytes_of_this_kind_are_a_frame_or_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(ServiceError):
        unpack_image(b"INKL\x01\x02" + data)


@pytest.mark.parametrize(
    "image",
    [np.ones((4, 4), np.uint8), np.ones((4, 4, 4), np.uint8), np.ones((0, 4, 3), np.uint8), np.ones((4, 4, 3))],
)
def test_arrays_that_are_no_images_cannot_be_packed(image: Any) -> None:
    with pytest.raises(ValueError, match=r"uint8|cannot be sent"):
        pack_image(0, image)


def test_numbers_that_the_header_cannot_hold_cannot_be_packed() -> None:
    with pytest.raises(ValueError, match="seq"):
        pack_image(2**53, b"")
    with pytest.raises(ValueError, match="orientation"):
        pack_image(0, b"", orientation=9)
