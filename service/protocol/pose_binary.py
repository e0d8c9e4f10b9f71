"""Packed poses: the binary form of a `pose` message, little-endian, a sixth of its JSON.

    offset  size  field
         0     4  magic, the bytes "INKL"
         4     1  version of this layout, 1
         5     1  kind, 1: poses
         6     2  people, u16
         8     8  seq, u64 (below 2**53)
        16     8  pts_s, f64; NaN: stamp on arrival
        24     2  joints of each person, u16
        26     1  numbers of each joint, u8: coordinates and, optionally, confidence, as in JSON
        27     5  zero
        32        for each person: track, u32 (2**32 - 1: not tracked), then joints x numbers of f32, joint by
                  joint

The first 24 bytes are common to every kind of binary message.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inkling.service.protocol.binary_header import MAX_SEQ, POSES, Header
from inkling.service.protocol.errors import BadMessage, BadPose, BadTime, ServiceError
from inkling.service.protocol.track_id import CLASHING, UNTRACKED, TrackId, clashing

HEADER = Header(POSES, "HB5x")
MAX_COORDINATE = 1e6
"""Larger numbers are no pixels, metres or confidences, but somebody's bug."""
MAX_NUMBERS = 4
"""Of one joint: three coordinates and a confidence."""
NOT_TRACKED = 2**32 - 1
"""How `UNTRACKED` is packed. Tracks are below it; others go as JSON."""
BEYOND = "keypoints must be finite numbers of at most 1e6; send null for a missing joint"
_SURELY = 0.9 * MAX_COORDINATE**2
"""Numbers whose squares sum up to less are all within MAX_COORDINATE, whatever rounding loses in the sum."""
_TRACK = struct.Struct("<I")
_FLOAT = np.dtype("<f4")


@dataclass(slots=True)
class PackedPose:
    """One frame's people as arrays: what a `pose` message becomes, whether it came as JSON or as bytes.

    tracks: P ids, all different. keypoints: float32 (P, J, C), C the coordinates and, optionally, a confidence; at most
    1e6 in size. A missing joint has confidence 0 or is NaN throughout. pts_s: seconds >= 0, or None: stamp on arrival.
    refused: why somebody was left out; doubt: what looks wrong about the poses; both are said as an `error`.
    """

    seq: int
    pts_s: float | None
    tracks: Sequence[TrackId]
    keypoints: NDArray[np.float32]
    refused: str | None = None
    doubt: str | None = None


def pack_pose(seq: int, tracks: Sequence[int], keypoints: ArrayLike, pts_s: float | None = None) -> bytes:
    """The bytes of one frame; `keypoints` (P, J, C). Raises ValueError when the header cannot hold its numbers."""
    array = np.asarray(keypoints, np.float32)
    if array.ndim != 3 or len(array) != len(tracks):
        raise ValueError(f"keypoints must be (people, joints, numbers) for {len(tracks)} people, not {array.shape}")
    people, joints, numbers = array.shape
    if people >= 2**16 or joints >= 2**16 or numbers >= 2**8:
        raise ValueError(f"keypoints are too many for one frame: {array.shape}")
    if not 0 <= seq < MAX_SEQ or any(not UNTRACKED <= track < NOT_TRACKED for track in tracks):
        raise ValueError("seq must be in [0, 2**53) and tracks in [0, 2**32 - 1), or -1")
    body = np.empty(people, _person(joints, numbers))
    body["track"] = [track & NOT_TRACKED for track in tracks]
    body["keypoints"] = array
    time_s = math.nan if pts_s is None else pts_s
    return HEADER.pack(people, seq, time_s, joints, numbers) + body.tobytes()


def unpack_pose(data: bytes) -> PackedPose:
    """The frame in a binary message.

    Raises BadMessage (not this layout, or another length than it says), BadPose and BadTime (with the frame's `seq`).
    """
    people, seq, pts_s, joints, numbers = HEADER.unpack(data)
    if people == 1 and len(data) == HEADER.size + 4 + 4 * joints * numbers > HEADER.size + 4:
        (track,) = _TRACK.unpack_from(data, HEADER.size)
        if track < NOT_TRACKED:
            time_s = None if pts_s != pts_s else pts_s
            flat = np.frombuffer(data, _FLOAT, offset=HEADER.size + 4)
            if (frame := plain_pose(seq, time_s, (track,), flat, joints, numbers)) is not None:
                return frame
    person = _person(joints, numbers)
    if len(data) != HEADER.size + people * person.itemsize:
        raise BadMessage(
            f"{people} people of {joints} joints x {numbers} take {HEADER.size + people * person.itemsize} bytes, "
            f"not {len(data)}"
        )
    body = np.frombuffer(data, person, people, HEADER.size)
    tracks: list[TrackId] = body["track"].tolist()
    keypoints, time_s = body["keypoints"], None if math.isnan(pts_s) else pts_s
    if NOT_TRACKED not in tracks:
        return checked_pose(seq, time_s, tracks, keypoints)
    tracks = [UNTRACKED if track == NOT_TRACKED else track for track in tracks]
    left_out = set(clashing(tracks))
    kept = [index for index in range(people) if index not in left_out]
    if not kept:
        raise about(seq, BadPose(CLASHING))
    frame = checked_pose(seq, time_s, [tracks[index] for index in kept], keypoints[kept])
    if left_out:
        frame.refused = f"{CLASHING} ({len(left_out)} people of this frame are refused)"
    return frame


def plain_pose(
    seq: int, pts_s: float | None, tracks: Sequence[TrackId], flat: NDArray[np.float32], joints: int, numbers: int
) -> PackedPose | None:
    """A PackedPose of P x J x C numbers in a row, if a glance shows that nothing is wrong with it; else None."""
    # A sum of squares in one call, in place of a look at each number; NaN fails it as well.
    if (pts_s is not None and not 0 <= pts_s < math.inf) or not np.vdot(flat, flat) < _SURELY:
        return None
    if len(tracks) > 1 and len(set(tracks)) != len(tracks):
        return None
    return PackedPose(seq, pts_s, tracks, flat.reshape(len(tracks), joints, numbers))


def checked_pose(
    seq: int, pts_s: float | None, tracks: Sequence[TrackId], keypoints: NDArray[np.float32 | np.float64]
) -> PackedPose:
    """A PackedPose of (P, J, C) numbers from outside. Raises BadPose or BadTime, with `seq`."""
    if pts_s is not None and not 0 <= pts_s < math.inf:
        raise about(seq, BadTime(f"pts_s must be seconds, 0 or later, not {pts_s}"))
    if not np.abs(keypoints).max(initial=0) <= MAX_COORDINATE:  # also catches NaN
        raise about(seq, BadPose(BEYOND))
    if len(set(tracks)) != len(tracks):
        raise about(seq, BadPose("each track may appear once in a frame"))
    return PackedPose(seq, pts_s, tracks, keypoints.astype(np.float32, copy=False))


def about(seq: int, error: ServiceError) -> ServiceError:
    """The same error, naming the frame that it refuses."""
    error.seq = seq
    return error


@lru_cache(maxsize=64)
def _person(joints: int, numbers: int) -> np.dtype[np.void]:
    return np.dtype([("track", "<u4"), ("keypoints", "<f4", (joints, numbers))])
