"""OpenPose's frames: `{"version", "people": [{"person_id": [n], "pose_keypoints_2d": [x, y, confidence, ...]}]}`, as a
list or one after the other, such as the files of a folder in their order.
https://cmu-perceptual-computing-lab.github.io/openpose/web/html/doc/md_doc_02_output.html
"""

from __future__ import annotations

from collections.abc import Iterator

from inkling.service.clips.formats.detections import Detection, gather
from inkling.service.clips.formats.frames import Bounds
from inkling.service.clips.formats.json_reader import Body, JsonReader
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip


def read(body: Body, bounds: Bounds) -> PoseClip:
    """The clip in a UTF-8 text. Raises BadClip, TooLarge."""
    return gather(_detections(JsonReader(body)), bounds)


def _detections(reader: JsonReader) -> Iterator[Detection]:
    for frame, document in enumerate(reader.documents()):
        people = document.get("people") if type(document) is dict else None
        if type(people) is not list:
            raise BadClip(f"frame {frame}: a frame of OpenPose is an object with people, a list")
        if not people:
            yield Detection(frame, None, None)
        for person in people:
            flat = person.get("pose_keypoints_2d") if type(person) is dict else None
            if type(flat) is not list:
                raise BadClip(f"frame {frame}: a person of OpenPose has pose_keypoints_2d, a list")
            name = person.get("person_id")
            yield Detection(frame, name[0] if type(name) is list and len(name) == 1 else None, flat)
