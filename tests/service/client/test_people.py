from __future__ import annotations

import numpy as np
import pytest

from inkling.service.client.errors import BadArgument
from inkling.service.client.people import checked_time, pack_people, pose_message, scaled_people
from inkling.service.protocol.codec import PeopleMessage, SeenPerson, decode
from inkling.service.protocol.pose_binary import PackedPose

BODY = np.ones((17, 3), np.float32)


def test_one_person_is_track_1_and_several_keep_theirs() -> None:
    assert pack_people(BODY).tracks == [1]
    tracks, keypoints = pack_people({7: BODY, 3: BODY * 2})
    assert tracks == [7, 3]
    np.testing.assert_array_equal(keypoints, np.stack([BODY, BODY * 2]))


@pytest.mark.parametrize("track", ["anna", "8d3f-uuid", 2**32 - 1, 2**32, 2**64 - 1])
def test_a_track_that_the_packed_form_cannot_hold_goes_as_json_with_the_same_numbers(track: int | str) -> None:
    body = np.random.default_rng(0).normal(size=(17, 3)).astype(np.float32) * 100
    body[4] = np.nan
    people = pack_people({7: body, track: body * 2})
    message = pose_message(5, people, 0.25)
    assert isinstance(message, str)
    read = decode(message)
    assert isinstance(read, PackedPose)
    assert (read.seq, read.pts_s, list(read.tracks)) == (5, 0.25, [7, track])
    packed = decode(pose_message(5, pack_people({7: body, 8: body * 2}), 0.25))
    assert isinstance(packed, PackedPose)
    np.testing.assert_array_equal(read.keypoints, packed.keypoints)


def test_usual_tracks_go_packed() -> None:
    for track in (-1, 0, int(np.int64(3)), 2**32 - 2):
        assert isinstance(pose_message(0, pack_people({track: BODY}), None), bytes)
    assert [type(track) for track in pack_people({np.int64(3): BODY}).tracks] == [int]  # type: ignore[arg-type]


def test_nobody_is_no_rows() -> None:
    assert pack_people({}).keypoints.shape == (0, 0, 0)


def test_a_joint_with_a_nan_is_missing_and_the_given_array_is_left_alone() -> None:
    body = BODY.copy()
    body[3, 1] = np.nan
    _, keypoints = pack_people(body)
    np.testing.assert_array_equal(keypoints[0, 3], 0)
    np.testing.assert_array_equal(keypoints[0, 4], BODY[4])
    assert np.isnan(body[3, 1])


@pytest.mark.parametrize("people", [np.ones(17), np.ones((2, 17, 3)), {1: np.ones((17, 3)), 2: np.ones((13, 3))}])
def test_people_that_are_no_poses_are_refused(people: object) -> None:
    with pytest.raises(BadArgument, match="joints, numbers") as caught:
        pack_people(people)  # type: ignore[arg-type]
    assert isinstance(caught.value, ValueError)
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("people", "words"),
    [
        ("somebody", "array of numbers"),
        ([[1, 2], [3]], "array of numbers"),
        ({-2: BODY}, "track"),
        ({2**64: BODY}, "track"),
        ({"": BODY}, "track"),
        ({"x" * 65: BODY}, "track"),
        (np.ones((2, 300)), "too many"),
    ],
)
def test_other_mistakes_are_one_sentence(people: object, words: str) -> None:
    with pytest.raises(BadArgument, match=words):
        pack_people(people)  # type: ignore[arg-type]


def test_people_are_told_in_pixels_of_the_picture_that_was_given() -> None:
    person = SeenPerson(track=1, box=(1, 2, 3, 4), score=0.5, keypoints=[(10, 20, 0.9), (0, 0, 0)])
    (scaled,) = scaled_people(PeopleMessage(seq=3, pts_s=0.1, people=[person]), 2.0, 3.0).people
    assert list(scaled.box) == [2, 6, 6, 12]
    assert scaled.keypoints == [(20, 60, 0.9), (0, 0, 0)]


def test_a_time_is_a_number_of_seconds_or_none() -> None:
    assert checked_time(None) is None
    assert checked_time(np.float32(1.5)) == 1.5  # type: ignore[arg-type]
    with pytest.raises(BadArgument, match="pts_s"):
        checked_time("noon")  # type: ignore[arg-type]
