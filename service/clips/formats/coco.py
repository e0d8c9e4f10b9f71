"""COCO keypoint results: `[{"image_id", "keypoints": [x, y, score, ...], "score", "track_id"?}, ...]`, or the same as
`annotations` of an object. https://cocodataset.org/#format-results

The frames are the images, in the order of their numbers, or of the file where they are no numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inkling.service.clips.formats.detections import Detection, gather
from inkling.service.clips.formats.frames import Bounds
from inkling.service.clips.formats.json_reader import Body, JsonReader
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip


def read(body: Body, bounds: Bounds) -> PoseClip:
    """The clip in a UTF-8 text. Raises BadClip, TooLarge."""
    return gather(_detections(JsonReader(body)), bounds, "coco17")


def _detections(reader: JsonReader) -> Iterator[Detection]:
    if reader.peek() == "[":
        for row in reader.items():
            yield _detection(row)
    else:
        for key in reader.fields():
            if key == "annotations" and reader.peek() == "[":
                for row in reader.items():
                    yield _detection(row)
            elif reader.peek() == "[":
                for _ in reader.items():
                    pass
            else:
                reader.value()
    reader.end()


def _detection(row: Any) -> Detection:
    if type(row) is not dict or type(row.get("image_id")) not in (int, str) or type(row.get("keypoints")) is not list:
        raise BadClip("a COCO result is an object with image_id, a number or a text, and keypoints, a flat list")
    score = row.get("score")
    return Detection(row["image_id"], row.get("track_id"), row["keypoints"], score if type(score) is float else None)
