from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from inkling.service.protocol.errors import BadMessage, BadPose, BadTime
from inkling.service.protocol.pose_binary import HEADER, pack_pose, unpack_pose

POSE = np.arange(12, dtype=np.float32).reshape(2, 2, 3)


@given(
    seq=st.integers(0, 2**53 - 1),
    pts_s=st.none() | st.floats(0, 1e9),
    keypoints=st.tuples(st.integers(0, 5), st.integers(0, 33), st.integers(1, 4)).flatmap(
        lambda shape: arrays(np.float32, shape, elements=st.floats(-1e6, 1e6, width=32))
    ),
    first=st.integers(-1, 2**32 - 7),
)
def test_unpacking_inverts_packing(seq: int, pts_s: float | None, keypoints: NDArray[np.float32], first: int) -> None:
    tracks = list(range(first, first + len(keypoints)))
    frame = unpack_pose(pack_pose(seq, tracks, keypoints, pts_s))
    assert (frame.seq, frame.pts_s, list(frame.tracks)) == (seq, pts_s, tracks)
    assert np.array_equal(frame.keypoints, keypoints)
    assert frame.keypoints.dtype == np.float32


@given(st.binary(max_size=200) | st.binary(max_size=80).map(lambda tail: b"INKL\x01\x01" + tail))
def test_garbage_is_refused_with_a_typed_error_or_is_a_frame(data: bytes) -> None:
    try:
        frame = unpack_pose(data)
    except (BadMessage, BadPose, BadTime):
        return
    assert len(frame.keypoints) == len(frame.tracks)


@given(st.integers(0, 79), st.integers(0, 255))
def test_a_changed_byte_gives_a_frame_or_a_typed_error(at: int, value: int) -> None:
    data = bytearray(pack_pose(3, [1, 2], POSE, 0.5))
    data[at] = value
    try:
        frame = unpack_pose(bytes(data))
    except (BadMessage, BadPose, BadTime):
        return
    assert np.isfinite(frame.keypoints).all()


def test_the_layout_is_the_documented_one() -> None:
    data = pack_pose(7, [9, 10], POSE, 1.5)
    assert data[:24] == b"INKL\x01\x01\x02\x00" + struct.pack("<Qd", 7, 1.5)
    assert data[24:32] == b"\x02\x00\x03\x00\x00\x00\x00\x00"
    assert data[32:60] == struct.pack("<I6f", 9, *range(6))
    assert len(data) == HEADER.size + 2 * 28


@pytest.mark.parametrize("cut", [0, 3, 31, 32, 59, 87])
def test_a_cut_message_is_refused(cut: int) -> None:
    with pytest.raises(BadMessage):
        unpack_pose(pack_pose(0, [1, 2], POSE)[:cut])


def test_more_bytes_than_the_header_says_are_refused() -> None:
    with pytest.raises(BadMessage, match="take 88 bytes, not 89"):
        unpack_pose(pack_pose(0, [1, 2], POSE) + b"\0")


@pytest.mark.parametrize(("at", "value"), [(0, b"X"), (4, b"\x02"), (5, b"\x02")])
def test_other_magic_versions_and_kinds_are_refused(at: int, value: bytes) -> None:
    data = pack_pose(0, [1, 2], POSE)
    with pytest.raises(BadMessage):
        unpack_pose(data[:at] + value + data[at + 1 :])


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e30, -1.1e6])
def test_numbers_beyond_reason_refuse_the_frame_by_its_seq(number: float) -> None:
    pose = POSE.copy()
    pose[1, 1, 0] = number
    with pytest.raises(BadPose, match="finite numbers of at most 1e6") as refused:
        unpack_pose(pack_pose(41, [1, 2], pose))
    assert refused.value.seq == 41


@pytest.mark.parametrize("pts_s", [-1.0, np.inf, -np.inf])
def test_impossible_times_refuse_the_frame_by_its_seq(pts_s: float) -> None:
    with pytest.raises(BadTime) as refused:
        unpack_pose(pack_pose(41, [1, 2], POSE, pts_s))
    assert refused.value.seq == 41


def test_a_track_twice_in_a_frame_is_refused() -> None:
    with pytest.raises(BadPose, match="once in a frame"):
        unpack_pose(pack_pose(0, [1, 1], POSE))


def test_numbers_that_the_header_cannot_hold_are_not_packed() -> None:
    for seq, tracks in ((-1, [1, 2]), (2**53, [1, 2]), (0, [1, 2**32 - 1]), (0, [-2, 2]), (0, [1])):
        with pytest.raises(ValueError, match=r"seq must|keypoints must"):
            pack_pose(seq, tracks, POSE)
    with pytest.raises(ValueError, match="too many"):
        pack_pose(0, [1], np.zeros((1, 70_000, 3)))


def test_a_seq_beyond_the_protocol_is_refused() -> None:
    data = bytearray(pack_pose(0, [1, 2], POSE))
    data[8:16] = struct.pack("<Q", 2**53)
    with pytest.raises(BadMessage, match="seq"):
        unpack_pose(bytes(data))
