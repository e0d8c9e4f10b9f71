from __future__ import annotations

import json

import pytest

from inkling.service.clips.formats import openpose
from inkling.service.clips.formats.frames import Bounds
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip


def frame(*people: object) -> dict[str, object]:
    return {"version": 1.3, "people": list(people)}


def somebody(track: int) -> dict[str, object]:
    return {"person_id": [track], "pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}


def read(text: str) -> PoseClip:
    return openpose.read(text.encode(), Bounds(100, 10**6))


def test_frames_in_a_list_and_one_after_the_other_are_the_same_clip() -> None:
    frames = [frame(), frame(somebody(4), somebody(7)), frame(somebody(7))]
    for text in (json.dumps(frames), "\n".join(map(json.dumps, frames))):
        clip = read(text)
        assert clip.skeleton == "openpose25"
        assert {track: there.tolist() for track, there in clip.present.items()} == {
            4: [False, True, False],
            7: [False, True, True],
        }


@pytest.mark.parametrize("wrong", [3, {}, {"people": {}}, frame(3), frame({"person_id": [1]})])
def test_what_is_no_frame_is_named_by_its_number(wrong: object) -> None:
    with pytest.raises(BadClip, match="frame 1"):
        read(json.dumps([frame(somebody(1)), wrong]))
