"""A clip survives the way between two processes, and what is no clip is refused before anything is allocated."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from inkling.service.clips.packed_clip import (
    LENGTH,
    ReaderOutOfMemory,
    pack_clip,
    pack_error,
    unpack_head,
)
from inkling.service.clips.pose_arrays import PoseClip, TrackedClip
from inkling.service.protocol.errors import BadClip, TooLarge

CLIP = PoseClip(
    {2**64 - 1: np.arange(24, dtype=np.float32).reshape(4, 3, 2), "Ann": np.full((4, 3, 2), np.nan, np.float32)},
    {2**64 - 1: np.array([True, False, True, True]), "Ann": np.zeros(4, np.bool_)},
    np.array([0.0, 0.5, 1e300, np.inf]),
    "own",
    640,
    None,
    ("one was left out",),
)


def carried(sent: PoseClip | TrackedClip) -> PoseClip | TrackedClip:
    data = b"".join(pack_clip(sent))
    (length,) = LENGTH.unpack(data[: LENGTH.size])
    head = unpack_head(data[LENGTH.size : LENGTH.size + length])
    rest = data[LENGTH.size + length :]
    assert head.bytes == len(rest)
    clip, arrays = head.arrays()
    for array in arrays:
        array[...] = np.frombuffer(rest[: array.nbytes], array.dtype).reshape(array.shape)
        rest = rest[array.nbytes :]
    assert not rest
    return clip


def test_a_clip_comes_out_as_it_went_in() -> None:
    clip = carried(CLIP)
    assert isinstance(clip, PoseClip)
    for track in CLIP.people:
        np.testing.assert_array_equal(clip.people[track], CLIP.people[track])
        np.testing.assert_array_equal(clip.present[track], CLIP.present[track])
    np.testing.assert_array_equal(clip.pts_s, CLIP.pts_s)
    assert (clip.skeleton, clip.width, clip.height, clip.warnings) == ("own", 640, None, ("one was left out",))


def test_a_clip_whose_people_come_and_go_comes_out_as_it_went_in() -> None:
    keypoints = np.arange(18, dtype=np.float32).reshape(3, 2, 3)
    sent = TrackedClip(keypoints, np.array([1, 2, 2**31 - 1]), np.array([0.0, 0.0, 0.5]), "own", 640, 480)
    clip = carried(sent)
    assert isinstance(clip, TrackedClip)
    np.testing.assert_array_equal(clip.keypoints, sent.keypoints)
    np.testing.assert_array_equal(clip.tracks, sent.tracks)
    np.testing.assert_array_equal(clip.times, sent.times)
    assert (clip.skeleton, clip.width, clip.height, clip.warnings) == ("own", 640, 480, ())


@pytest.mark.parametrize("error", [BadClip("not JSON"), TooLarge("too many")])
def test_an_error_is_raised_again(error: BadClip | TooLarge) -> None:
    with pytest.raises(type(error), match=str(error)):
        unpack_head(pack_error(error)[LENGTH.size :])


def test_want_of_memory_is_told_apart() -> None:
    with pytest.raises(ReaderOutOfMemory):
        unpack_head(pack_error(MemoryError())[LENGTH.size :])


HEAD: dict[str, Any] = {
    "people": [{"track": 1, "frames": 2, "joints": 3, "numbers": 2}],
    "times": None, "skeleton": None, "width": None, "height": None, "warnings": [],
}  # fmt: skip


@pytest.mark.parametrize(
    "head",
    [
        b"\xff", b"[" * 100_000, b"[]", b"{}", b'{"error": "internal", "message": "x"}',
        json.dumps(HEAD | {"times": -1}).encode(),
        json.dumps(HEAD | {"rows": -1, "joints": 3, "numbers": 3}).encode(),
        json.dumps(HEAD | {"people": [{"track": 1, "frames": 2.5, "joints": 3, "numbers": 2}]}).encode(),
        json.dumps(HEAD | {"people": [{"track": 1, "frames": 2**40, "joints": 3, "numbers": 2}]}).encode(),
        json.dumps(HEAD | {"skeleton": "x" * 2000}).encode(),
    ],
)  # fmt: skip
def test_what_is_no_head_is_refused(head: bytes) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        unpack_head(head)
    assert not isinstance(caught.value, BadClip)


def test_more_than_was_asked_for_is_seen_before_it_is_allocated() -> None:
    person = {"track": 1, "frames": 2**31, "joints": 2**31, "numbers": 2**31}
    assert unpack_head(json.dumps(HEAD | {"people": [person]}).encode()).bytes > 2**90
