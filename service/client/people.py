"""The people of one frame, made ready for the wire. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic_core import to_json

from inkling.service.client.errors import BadArgument
from inkling.service.protocol.codec import PeopleMessage, pack_pose
from inkling.service.protocol.pose_binary import NOT_TRACKED
from inkling.service.protocol.track_id import TrackId, read_track

People = ArrayLike | Mapping[int, ArrayLike] | Mapping[str, ArrayLike] | Mapping[TrackId, ArrayLike]
"""One person's keypoints (J, C), or several people's by their track; C: x, y(, z), and optionally a confidence.

A joint is missing where its confidence is 0 or any of its numbers is NaN. A track is a whole number or a text, as the
protocol has it, and is given back as it came."""

Frame = tuple[float | None, People]
"""`pts_s` (None: stamped on arrival) and the people of one frame."""

TRACK = 1
"""The track of a person who is sent without one."""


class Packed(NamedTuple):
    """Track ids (P,) and float32 (P, J, C) of one frame."""

    tracks: list[TrackId]
    keypoints: NDArray[np.float32]


def pack_people(people: People) -> Packed:
    """One frame's people as arrays; joints with a NaN become zeros, that is missing.

    Raises BadArgument when people differ in their number of joints, a person is not (J, C), or a track is none.
    """
    given = people if isinstance(people, Mapping) else {TRACK: people}
    try:
        arrays = [np.array(keypoints, dtype=np.float32) for keypoints in given.values()]
    except (TypeError, ValueError) as error:
        raise BadArgument(f"a person is an array of numbers (joints, numbers): {error}") from None
    if not arrays:
        return Packed([], np.zeros((0, 0, 0), np.float32))
    for array in arrays:
        if array.ndim != 2 or array.shape != arrays[0].shape:
            raise BadArgument(f"each person is an array (joints, numbers), alike in one frame, not {array.shape}")
    tracks = [checked_track(track) for track in given]
    keypoints = arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)  # `np.array` made copies already
    if max(keypoints.shape[:2]) >= 2**16 or keypoints.shape[2] >= 2**8:
        raise BadArgument(f"these are too many numbers for one frame: {keypoints.shape}")
    keypoints[np.isnan(keypoints).any(axis=-1)] = 0
    return Packed(tracks, keypoints)


def checked_track(track: object) -> TrackId:
    """A track as it is sent. Raises BadArgument for what is none."""
    try:
        return read_track(int(track) if isinstance(track, np.integer) else track)
    except ValueError as error:
        raise BadArgument(str(error)) from None


def pose_message(seq: int, people: Packed, pts_s: float | None) -> str | bytes:
    """What is sent for a frame: packed, or JSON where a track is a text or a number that only JSON can hold."""
    tracks = [track for track in people.tracks if type(track) is int and track < NOT_TRACKED]
    if len(tracks) == len(people.tracks):
        return pack_pose(seq, tracks, people.keypoints, pts_s)
    rows = [
        {"track": track, "keypoints": keypoints}
        for track, keypoints in zip(people.tracks, people.keypoints.tolist(), strict=True)
    ]
    time = {} if pts_s is None else {"pts_s": pts_s}
    return to_json({"type": "pose", "seq": seq, **time, "people": rows}).decode()


def checked_time(pts_s: float | None) -> float | None:
    """A frame's time in seconds, as it is sent. Raises BadArgument for what is no number."""
    if pts_s is None:
        return None
    try:
        return float(pts_s)
    except (TypeError, ValueError):
        raise BadArgument(f"pts_s is a number of seconds, or None: stamped on arrival, not {pts_s!r}") from None


def scaled_people(seen: PeopleMessage, x: float, y: float) -> PeopleMessage:
    """The same people in pixels of a picture that is `x` times as wide and `y` times as high."""
    people = [
        person.model_copy(
            update={
                "box": (person.box[0] * x, person.box[1] * y, person.box[2] * x, person.box[3] * y),
                "keypoints": [(joint[0] * x, joint[1] * y, joint[2]) for joint in person.keypoints],
            }
        )
        for person in seen.people
    ]
    return seen.model_copy(update={"people": people})
