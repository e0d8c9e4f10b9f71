from __future__ import annotations

import json

import pytest

from inkling.service.clips.formats import coco
from inkling.service.clips.formats.frames import Bounds
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip

ROW = {"image_id": 1, "keypoints": [1.0, 2.0, 0.5] * 17, "track_id": "anna", "score": 0.5}


def read(content: object) -> PoseClip:
    return coco.read(json.dumps(content).encode(), Bounds(100, 10**6))


def test_a_list_and_annotations_are_the_same_clip() -> None:
    for content in ([ROW], {"images": [{"id": 1}], "info": 3, "annotations": [ROW]}):
        clip = read(content)
        assert list(clip.people) == ["anna"]
        assert clip.people["anna"].shape == (1, 17, 3)


@pytest.mark.parametrize("row", [3, {}, ROW | {"image_id": None}, ROW | {"keypoints": "none"}])
def test_a_row_that_is_no_result_is_refused(row: object) -> None:
    with pytest.raises(BadClip, match="a COCO result"):
        read([ROW, row])
