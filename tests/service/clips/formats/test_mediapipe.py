from __future__ import annotations

import json
from typing import Any

import pytest

from inkling.service.clips.formats import mediapipe
from inkling.service.clips.formats.frames import Bounds
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip
from inkling.service.protocol.track_id import UNTRACKED

BODY: list[dict[str, float]] = [{"x": 0.25, "y": 0.5, "z": -1.0, "visibility": 0.75}] * 33


def read(frames: list[Any]) -> PoseClip:
    return mediapipe.read(json.dumps(frames).encode(), Bounds(100, 10**6))


@pytest.mark.parametrize("holder", mediapipe._NAMES)
def test_landmarks_are_read_wherever_they_are_held_and_z_is_not_taken_for_confidence(holder: str) -> None:
    clip = read([{holder: BODY}, {holder: [BODY]}, {holder: None}])
    assert clip.skeleton == "blazepose33"
    assert clip.people[UNTRACKED][0, 0].tolist() == [0.25, 0.5, 0.75]
    assert clip.present[UNTRACKED].tolist() == [True, True, False]


def test_of_several_people_the_first_is_read_and_that_is_said() -> None:
    assert "several people" in read([{"landmarks": [BODY, BODY]}]).warnings[0]


@pytest.mark.parametrize("wrong", [3, "x", [[[[[[BODY]]]]]], [{"x": 1}], {"landmarks": 3}])
def test_what_is_no_landmarks_is_named_by_its_frame(wrong: object) -> None:
    with pytest.raises(BadClip, match="frame 1"):
        read([BODY, wrong])


def test_a_dump_shows_in_its_first_bytes() -> None:
    assert mediapipe.is_dump(b'[{"poseLandmarks": ')
    assert not mediapipe.is_dump(b'{"people": ')
