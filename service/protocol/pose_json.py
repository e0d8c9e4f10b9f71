"""The usual JSON `pose` message, read in a fraction of the time that its full validation takes. Pure.

What is not plainly right is left to pydantic, which says what is wrong, or accepts what is only unusual.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from pydantic_core import from_json

from inkling.service.protocol.binary_header import MAX_SEQ
from inkling.service.protocol.pose_binary import MAX_TRACK, PackedPose, plain_pose

_FIELDS = ({"type", "seq", "pts_s", "people"}, {"type", "seq", "people"})
_PERSON = {"track", "keypoints"}


def read_pose(text: str) -> PackedPose | None:
    """The frame of a `pose` message without nulls; None for whatever else it is."""
    try:
        message = from_json(text)
    except (TypeError, ValueError):  # TypeError: half a surrogate pair
        return None
    if type(message) is not dict or message.get("type") != "pose" or message.keys() not in _FIELDS:
        return None
    seq, pts_s, people = message["seq"], message.get("pts_s"), message["people"]
    if type(seq) is not int or not 0 <= seq < MAX_SEQ or type(people) is not list or not people:
        return None
    if type(pts_s) is not float and pts_s is not None:
        return None
    tracks: list[int] = []
    bodies: list[Any] = []
    for person in people:
        if type(person) is not dict or person.keys() != _PERSON:
            return None
        track = person["track"]
        if type(track) is not int or not 0 <= track < MAX_TRACK:
            return None
        tracks.append(track)
        bodies.append(person["keypoints"])
    return _frame(seq, pts_s, tracks, bodies)


def _frame(seq: int, pts_s: float | None, tracks: list[int], bodies: list[Any]) -> PackedPose | None:
    try:
        joints, numbers = len(bodies[0]), len(bodies[0][0])
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
