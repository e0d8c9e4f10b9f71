from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol.codec import decode
from inkling.service.protocol.errors import ServiceError
from inkling.service.protocol.pose_binary import PackedPose
from inkling.service.protocol.pose_json import read_pose

COORDINATES = st.one_of(st.floats(-1e6, 1e6), st.integers(-1000, 1000))
NUMBERS = st.one_of(COORDINATES, st.sampled_from([None, True, "1", 1e300, 1e7, 10**400, float("nan")]))
ODD_JOINTS = st.one_of(st.lists(COORDINATES, min_size=3, max_size=3), st.lists(NUMBERS, max_size=4), st.none())
ODD_PEOPLE = st.lists(st.tuples(st.integers(-1, 3), st.lists(ODD_JOINTS, max_size=3)), max_size=3)


@st.composite
def usual_people(draw: st.DrawFn) -> list[tuple[int | str, Any]]:
    """People as estimators send them: different tracks, equally many joints, each with x, y and a confidence."""
    tracks = draw(
        st.lists(st.integers(0, 2**64 - 1) | st.text(min_size=1, max_size=64), min_size=1, max_size=3, unique=True)
    )
    joints = draw(st.integers(1, 5))
    pixels = st.one_of(st.floats(-10_000, 10_000), st.integers(-1000, 1000))
    joint = st.tuples(pixels, pixels, st.floats(0, 1)).map(list)
    return [(track, draw(st.lists(joint, min_size=joints, max_size=joints))) for track in tracks]


def message(people: list[tuple[int | str, Any]], **fields: Any) -> str:
    rows = [{"track": track, "keypoints": keypoints} for track, keypoints in people]
    return json.dumps({"type": "pose", "seq": 1, "people": rows} | fields)


def read_in_full(text: str) -> PackedPose:
    """What `decode` makes of a pose without the short way. Raises ServiceError."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inkling.service.protocol.codec.read_pose", lambda message: None)
        frame = decode(text)
    assert isinstance(frame, PackedPose)
    return frame


def assert_same(found: PackedPose, expected: PackedPose) -> None:
    assert (found.seq, found.pts_s, list(found.tracks)) == (expected.seq, expected.pts_s, list(expected.tracks))
    np.testing.assert_array_equal(found.keypoints, expected.keypoints)
    assert found.keypoints.dtype == expected.keypoints.dtype


@given(usual_people(), st.sampled_from([{}, {"pts_s": 0.5}, {"pts_s": None}]))
def test_every_usual_frame_takes_the_short_way_and_comes_out_as_by_the_full_one(
    people: list[tuple[int | str, Any]], fields: dict[str, Any]
) -> None:
    text = message(people, **fields)
    found = read_pose(json.loads(text))
    assert found is not None
    assert_same(found, read_in_full(text))


@given(
    st.one_of(ODD_PEOPLE, usual_people()),
    st.sampled_from([{}, {"pts_s": 0.5}, {"pts_s": 2}, {"pts_s": -1.0}, {"pts_s": None}, {"seq": 1.0}]),
)
def test_an_odd_frame_is_never_read_otherwise_than_by_the_full_way(
    people: list[tuple[int | str, Any]], fields: dict[str, Any]
) -> None:
    text = message(people, **fields)
    try:
        expected = read_in_full(text)
    except ServiceError:
        assert read_pose(json.loads(text)) is None, "a frame that is refused was read"
    else:
        found = read_pose(json.loads(text))
        assert_same(expected if found is None else found, expected)


def test_a_usual_frame_takes_the_short_way() -> None:
    frame = read_pose(json.loads(message([(4, [[1.5, 2, 0.5]] * 17), (9, [[3, 4, 1.0]] * 17)], pts_s=0.25)))
    assert frame is not None
    assert (frame.seq, frame.pts_s, frame.tracks, frame.keypoints.shape) == (1, 0.25, [4, 9], (2, 17, 3))
    np.testing.assert_array_equal(frame.keypoints[0, 3], [1.5, 2, 0.5])


@pytest.mark.parametrize(
    "text",
    ["[]", '"nonsense"', '{"type":"flush","id":1}', message([]), message([(1, [[1, 2, 3]])], colour="red"),
     message([(1, [[1, 2, None]])]), message([(1, [None])]), message([(1, [[1, 2], [1, 2, 3]])]),
     message([(1, "text")]), message([(1, [[1e7, 0, 0]])]), message([(1, [[1, 2, 3]])] * 2)],
)  # fmt: skip
def test_everything_else_is_left_to_the_full_validation(text: str) -> None:
    assert read_pose(json.loads(text)) is None


def test_a_refusal_is_that_of_the_full_validation() -> None:
    with pytest.raises(ServiceError, match="at most 1e6"):
        decode(message([(1, [[1e7, 0, 0]])]))
