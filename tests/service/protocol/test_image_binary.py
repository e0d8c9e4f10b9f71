"""Images on the wire."""

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
from inkling.service.protocol.pose_binary import HEADER as POSE_HEADER
from inkling.service.protocol.pose_binary import pack_pose
from tests.support import picture


def png(image: NDArray[np.uint8]) -> bytes:
    good, data = cv2.imencode(".png", image)
    assert good
    return data.tobytes()


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
    image: Any = png(picture(height, width)) if raw is None else np.ones(raw, np.uint8)
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
