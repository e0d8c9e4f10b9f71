"""The header that all binary messages share: one layout, one place that refuses."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol import image_binary, pose_binary, prediction_format
from inkling.service.protocol.binary_header import IMAGES, MAX_SEQ, POSES, Header, kind_of
from inkling.service.protocol.errors import BadMessage

HEADER = Header(POSES, "HB5x")
GOOD = HEADER.pack(2, 7, 1.5, 17, 3)


def test_the_bytes_are_the_documented_ones() -> None:
    assert b"INKL\x01\x01" + struct.pack("<HQdHB", 2, 7, 1.5, 17, 3) + bytes(5) == GOOD
    assert HEADER.size == len(GOOD) == 32


@given(st.integers(0, 2**16 - 1), st.integers(0, MAX_SEQ - 1), st.floats(allow_nan=False), st.integers(0, 255))
def test_unpacking_inverts_packing(number: int, seq: int, pts_s: float, numbers: int) -> None:
    data = HEADER.pack(number, seq, pts_s, 17, numbers)
    assert HEADER.unpack(data + b"what follows") == (number, seq, pts_s, 17, numbers)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "32-byte header"),
        (GOOD[:-1], "32-byte header"),
        (b"JUNK" + GOOD[4:], "the bytes 'INKL'"),
        (GOOD[:4] + b"\x02" + GOOD[5:], "version 2, kind 1 is not known"),
        (GOOD[:5] + b"\x02" + GOOD[6:], "version 1, kind 2 is not known"),
        (HEADER.pack(2, MAX_SEQ, 1.5, 17, 3), "not below 2"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(data: bytes, says: str) -> None:
    with pytest.raises(BadMessage, match=says):
        HEADER.unpack(data)


def test_each_layout_has_a_kind_and_a_size_of_its_own() -> None:
    assert (pose_binary.HEADER.size, image_binary.HEADER.size, prediction_format.HEADER.size) == (32, 32, 56)
    image, pose = image_binary.pack_image(0, b"file"), pose_binary.pack_pose(0, [1], np.zeros((1, 13, 3)))
    assert (kind_of(image), kind_of(pose), kind_of(b"INKL\x01")) == (IMAGES, POSES, 0)
