"""A JSON `pose` message in full: nulls, tracks of any kind, and whatever is wrong with it. Pure.

It costs what it is worth: lists are bounded before they are looked through, and the first mistake ends the reading.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import ValidationError

from inkling.models.problems import first_problem
from inkling.service.protocol.errors import BadMessage, BadPose, TooManyPeople
from inkling.service.protocol.messages import Keypoint, Pose
from inkling.service.protocol.pose_binary import BEYOND, MAX_NUMBERS, PackedPose, about, checked_pose
from inkling.service.protocol.track_id import CLASHING, TrackId, clashing, read_track

MAX_PEOPLE = 1024
"""People in one text message; the server's own limit is far lower."""
MAX_JOINTS = 512
"""Joints of one person; no skeleton has more."""
MAX_FIELDS = 16
"""Of a message or a person; each unknown one would be complained of."""


def read_pose_in_full(message: dict[str, Any]) -> PackedPose:
    """The frame of a parsed `pose` message.

    A person whose track is wrong is left out, see `PackedPose.refused`. Raises BadMessage; or BadPose, BadTime and
    TooManyPeople with the frame's `seq`.
    """
    people = message.get("people")
    head = _validated(message | {"people": []} if type(people) is list else message)
    if type(people) is not list:
        raise BadMessage("pose.people: Input should be a valid list")
    if len(people) > MAX_PEOPLE:
        raise about(head.seq, TooManyPeople(f"{len(people)} people in one message; at most {MAX_PEOPLE} are read"))
    tracks: list[TrackId] = []
    rows: list[dict[str, Any]] = []
    refused: list[str] = []
    for person in people:
        if type(person) is not dict:
            raise BadMessage("pose.people: each person is an object with track and keypoints")
        if len(person) > MAX_FIELDS:
            raise BadMessage(f"pose.people: a person has {len(person)} fields; track and keypoints are known")
        keypoints = person.get("keypoints")
        if type(keypoints) is list and len(keypoints) > MAX_JOINTS:
            raise about(head.seq, BadPose(f"a person of {len(keypoints)} joints; skeletons have at most {MAX_JOINTS}"))
        try:
            tracks.append(read_track(person.get("track")))
        except ValueError as error:
            refused.append(str(error))
        else:
            rows.append(person | {"track": tracks[-1]})
    for index in reversed(clashing(tracks)):
        del tracks[index], rows[index]
        refused.append(CLASHING)
    if refused and not rows:
        raise about(head.seq, BadPose(refused[0]))
    pose = _validated(message | {"people": rows})
    frame = _to_arrays(pose, tracks)
    if refused:
        more = f" ({len(refused)} people of this frame are refused)" if len(refused) > 1 else ""
        frame.refused = refused[0] + more
    return frame


def _validated(message: dict[str, Any]) -> Pose:
    try:
        return Pose.model_validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        if "keypoints" in first["loc"] and type(first["input"]) is int:  # beyond what a float holds
            raise about(message["seq"], BadPose(BEYOND)) from None
        raise BadMessage(f"pose.{first_problem(error)}") from None


def _to_arrays(pose: Pose, tracks: list[TrackId]) -> PackedPose:
    rows = [person.keypoints for person in pose.people]
    try:
        keypoints = np.array(rows, np.float64)
    except (TypeError, ValueError):  # a null among the joints, or unequal lengths
        return _with_missing(pose, tracks, rows)
    if keypoints.ndim != 3:
        if any(rows):  # nulls only
            return _with_missing(pose, tracks, rows)
        keypoints = np.zeros((len(rows), 0, 0))
    return checked_pose(pose.seq, pose.pts_s, tracks, keypoints)


def _with_missing(pose: Pose, tracks: list[TrackId], rows: list[list[Keypoint]]) -> PackedPose:
    """A frame with nulls: as arrays, with NaN where a joint is missing. Raises BadPose for unequal lengths."""
    joints = {len(row) for row in rows}
    if len(joints) > 1:
        raise about(pose.seq, BadPose(f"people of one frame must have equally many joints, not {sorted(joints)}"))
    numbers = {len(joint) for row in rows for joint in row if joint is not None}
    if len(numbers) > 1:
        raise about(pose.seq, BadPose(f"joints of one frame must have equally many numbers, not {sorted(numbers)}"))
    if max(numbers, default=0) > MAX_NUMBERS:  # each null would take as many
        raise about(pose.seq, BadPose(f"a joint is at most {MAX_NUMBERS} numbers, not {max(numbers)}"))
    nothing = (0.0,) * (numbers.pop() if numbers else 1)  # nulls only: how many numbers a joint has does not matter
    filled = np.array([[nothing if joint is None else joint for joint in row] for row in rows], np.float64)
    frame = checked_pose(pose.seq, pose.pts_s, tracks, filled)
    frame.keypoints[[[joint is None for joint in row] for row in rows]] = np.nan
    return frame
