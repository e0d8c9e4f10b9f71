from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inkling.service.protocol.errors import BadMessage, BadPose, ServiceError, TooManyPeople
from inkling.service.protocol.pose_message import MAX_FIELDS, MAX_JOINTS, MAX_PEOPLE, read_pose_in_full

JOINTS = [[1.0, 2.0, 0.5], [3.0, 4.0, 1.0]]


def message(*people: Any) -> dict[str, Any]:
    return {"type": "pose", "seq": 4, "pts_s": 0.5, "people": list(people)}


def person(track: object, keypoints: Any = JOINTS) -> dict[str, Any]:
    return {"track": track, "keypoints": keypoints}


def test_a_missing_joint_is_no_number_and_the_others_are_as_they_came() -> None:
    frame = read_pose_in_full(message(person("anna", [None, JOINTS[1]]), person(2**64 - 1)))
    assert (frame.seq, frame.pts_s, list(frame.tracks)) == (4, 0.5, ["anna", 2**64 - 1])
    assert np.isnan(frame.keypoints[0, 0]).all() or not frame.keypoints[0, 0, -1]
    np.testing.assert_array_equal(frame.keypoints[0, 1], JOINTS[1])
    np.testing.assert_array_equal(frame.keypoints[1], JOINTS)
    assert frame.refused is None


def test_a_person_with_a_wrong_track_is_left_out_and_told() -> None:
    frame = read_pose_in_full(message(person(-2), person(1), person("")))
    assert list(frame.tracks) == [1]
    assert frame.refused is not None
    assert "2 people" in frame.refused


@pytest.mark.parametrize(
    ("people", "kind"),
    [
        ([person(-2)], BadPose),
        ([person(None), person(-1)], BadPose),
        ([person(1), person(1)], BadPose),
        ([person(1, [[1, 2, 10**400]] * 2)], BadPose),
        ([person(1, [None] * (MAX_JOINTS + 1))], BadPose),
        ([person(1)] * (MAX_PEOPLE + 1), TooManyPeople),
    ],
)
def test_what_refuses_one_frame_names_it(people: list[Any], kind: type[ServiceError]) -> None:
    with pytest.raises(kind) as refused:
        read_pose_in_full(message(*people))
    assert (refused.value.seq, refused.value.close) == (4, None)


@pytest.mark.parametrize("people", [3, None, {"track": 1}])
def test_people_that_are_no_list_are_a_bad_message(people: object) -> None:
    with pytest.raises(BadMessage, match=r"pose\.people"):
        read_pose_in_full(message() | {"people": people})


@pytest.mark.parametrize(
    "wrong", [7, [], person(1) | {f"x{number}": 0 for number in range(MAX_FIELDS)}, person(1, "no joints")]
)
def test_a_person_that_is_none_is_a_bad_message(wrong: Any) -> None:
    with pytest.raises(BadMessage, match=r"pose\.people"):
        read_pose_in_full(message(wrong))
