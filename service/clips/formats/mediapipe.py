"""MediaPipe's landmarks, frame by frame: a list, or objects that follow each other, of which each is

- a list of 33 landmarks `{"x", "y", "z"?, "visibility"?}`, or a list of such lists, one a person (at most one is read);
- an object that holds one as `landmarks`, `pose_landmarks`, `poseLandmarks` or `landmark`; null: nobody is there.

`x` and `y` are shares of the picture, so its `width` and `height` have to be said; `z` is not used.
"""

from __future__ import annotations

import re
from typing import Any

from inkling.service.clips.formats.frames import Bounds, ScatteredFrames
from inkling.service.clips.formats.json_reader import Body, JsonReader
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip
from inkling.service.protocol.track_id import UNTRACKED

_NAMES = ("landmarks", "pose_landmarks", "poseLandmarks", "landmark")
_DUMP = re.compile(rb'"(pose_?)?landmarks?"|"visibility"', re.IGNORECASE)
_DEPTH = 4


def is_dump(head: bytes | bytearray) -> bool:
    """Whether the first bytes of a JSON text look like landmarks."""
    return _DUMP.search(head) is not None


def read(body: Body, bounds: Bounds) -> PoseClip:
    """The clip in a UTF-8 text; one person, without a track. Raises BadClip, TooLarge."""
    scattered, frames, crowded, joints = ScatteredFrames(bounds), 0, 0, 0
    for frame, document in enumerate(JsonReader(body).documents()):
        frames = frame + 1
        people = _people(document, frame, _DEPTH)
        crowded += len(people) > 1
        if people:
            joints = len(people[0])
            scattered.add(frame, UNTRACKED, [_joint(landmark, frame) for landmark in people[0]])
    people_arrays, present = scattered.finish(frames)
    warning = f"{crowded} frames have several people without a track; only the first of them is read"
    return PoseClip(
        people_arrays, present, skeleton="blazepose33" if joints == 33 else None, warnings=(warning,) if crowded else ()
    )


def _people(value: Any, frame: int, depth: int) -> list[list[Any]]:
    """The people in one frame, each a list of landmarks. Raises BadClip."""
    if value is None or value == []:
        return []
    if depth and type(value) is dict:
        name = next((name for name in _NAMES if name in value), None)
        if name is not None:
            return _people(value[name], frame, depth - 1)
    if depth and type(value) is list:
        if type(value[0]) is dict and "x" in value[0]:
            return [value]
        if type(value[0]) in (list, dict):
            return [person for part in value for person in _people(part, frame, depth - 1)]
    raise BadClip(f"frame {frame}: landmarks are a list of objects with x, y and visibility")


def _joint(landmark: Any, frame: int) -> tuple[Any, Any, Any]:
    if type(landmark) is not dict or "x" not in landmark or "y" not in landmark:
        raise BadClip(f"frame {frame}: a landmark is an object with x, y and visibility")
    return landmark["x"], landmark["y"], landmark.get("visibility", 1.0)
