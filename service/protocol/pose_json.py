"""The usual JSON `pose` message, read in a fraction of the time that its full validation takes. Pure.

What is not plainly right is left to `pose_message`, which says what is wrong, or accepts what is only unusual.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np

from inkling.service.protocol.binary_header import MAX_SEQ
from inkling.service.protocol.pose_binary import PackedPose, plain_pose
from inkling.service.protocol.track_id import MAX_TRACK, MAX_TRACK_TEXT, TrackId

_FIELDS = ({"type", "seq", "pts_s", "people"}, {"type", "seq", "people"})
_PERSON = {"track", "keypoints"}
USUAL_PEOPLE = 256
USUAL_JOINTS = 512


def read_pose(message: Any) -> PackedPose | None:
    """The frame of a parsed `pose` message without nulls; None for whatever else it is."""
    if type(message) is not dict or message.get("type") != "pose" or message.keys() not in _FIELDS:
        return None
    seq, pts_s, people = message["seq"], message.get("pts_s"), message["people"]
    if (
        type(seq) is not int
        or not 0 <= seq < MAX_SEQ
        or type(people) is not list
        or not 0 < len(people) <= USUAL_PEOPLE
    ):
        return None
    if type(pts_s) is not float and pts_s is not None:
        return None
    tracks: list[TrackId] = []
    bodies: list[Any] = []
    for person in people:
        if type(person) is not dict or person.keys() != _PERSON:
            return None
        track = person["track"]
        if type(track) is int:
            if not 0 <= track < MAX_TRACK:
                return None
        elif type(track) is not str or not 0 < len(track) <= MAX_TRACK_TEXT:
            return None
        tracks.append(track)
        bodies.append(person["keypoints"])
    return _frame(seq, pts_s, tracks, bodies)


def _frame(seq: int, pts_s: float | None, tracks: list[TrackId], bodies: list[Any]) -> PackedPose | None:
    try:
        joints, numbers = len(bodies[0]), len(bodies[0][0])
        if joints > USUAL_JOINTS:
            return None
        for body in bodies:
            if type(body) is not list or len(body) != joints or {*map(type, body)} != {list}:
                return None
            if {*map(len, body)} != {numbers}:
                return None
        flat = chain.from_iterable(chain.from_iterable(bodies))
        data = _floats(len(bodies) * joints * numbers).pack(*flat)
    except (TypeError, IndexError, KeyError, struct.error, OverflowError):  # a null, text, or a number beyond bounds
        return None
    return plain_pose(seq, pts_s, tracks, np.frombuffer(data, np.dtype("<f4")), joints, numbers)


@lru_cache(maxsize=64)
def _floats(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}f")
