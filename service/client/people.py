"""The people of one frame, made ready for the wire. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from inkling.service.client.errors import BadArgument
from inkling.service.protocol.codec import PeopleMessage
from inkling.service.protocol.pose_binary import NOT_TRACKED
from inkling.service.protocol.track_id import UNTRACKED

People = ArrayLike | Mapping[int, ArrayLike]
"""One person's keypoints (J, C), or several people's by their track; C: x, y(, z), and optionally a confidence.

A joint is missing where its confidence is 0 or any of its numbers is NaN."""

TRACK = 1
"""The track of a person who is sent without one."""


class Packed(NamedTuple):
    """Track ids (P,) and float32 (P, J, C) of one frame."""

    tracks: list[int]
    keypoints: NDArray[np.float32]


def pack_people(people: People) -> Packed:
    """One frame's people as arrays; joints with a NaN become zeros, that is missing.

    Raises BadArgument when people differ in their number of joints, a person is not (J, C), or a track is no number.
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
    for track in given:
        if not isinstance(track, int | np.integer) or not UNTRACKED <= track < NOT_TRACKED:
            raise BadArgument(
                f"a track is a whole number from 0 to 2^32 - 2, or -1 for one who is not tracked, not {track!r}"
            )
    keypoints = np.stack(arrays)
    if max(keypoints.shape[:2]) >= 2**16 or keypoints.shape[2] >= 2**8:
        raise BadArgument(f"these are too many numbers for one frame: {keypoints.shape}")
    keypoints[np.isnan(keypoints).any(axis=-1)] = 0
    return Packed(list(given), keypoints)


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
