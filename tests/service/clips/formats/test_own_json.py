from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from inkling.service.clips.formats import own_json
from inkling.service.clips.formats.frames import Bounds
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip

FRAME = [[1, 2, 1], None]
ANNA: dict[str, Any] = {"track": "anna", "keypoints": [FRAME, None, FRAME]}


def read(**fields: Any) -> PoseClip:
    return own_json.read(json.dumps(fields).encode(), Bounds(100, 10**6))


def test_nulls_are_missing_joints_and_people_who_are_not_there() -> None:
    clip = read(skeleton="coco17", fps=2, width=640, height=480, people=[ANNA])
    assert clip.present["anna"].tolist() == [True, False, True]
    assert np.isnan(clip.people["anna"][0, 1]).all()
    assert (clip.skeleton, clip.width, clip.height) == ("coco17", 640, 480)
    assert clip.pts_s is not None
    assert clip.pts_s.tolist() == [0, 0.5, 1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "people: Field required"),
        ({"people": []}, "at least 1"),
        ({"people": 3}, "people"),
        ({"people": [3]}, "track and keypoints"),
        ({"people": [ANNA, ANNA]}, "'anna' is there twice"),
        ({"people": [ANNA, {"track": 1, "keypoints": [FRAME]}]}, "equally many"),
        ({"people": [ANNA], "pts_s": 3}, "pts_s"),
        ({"people": [ANNA], "width": 0}, "width"),
        ({"people": [ANNA], "height": 10**400}, "height"),
        ({"people": [ANNA], "colour": "red"}, "colour"),
        ({"people": [ANNA | {"track": -2}]}, "a track is"),
    ],
)
def test_a_clip_that_is_none_is_one_sentence(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(BadClip, match=words):
        read(**fields)
