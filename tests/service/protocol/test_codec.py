from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.protocol import errors
from inkling.service.protocol.codec import (
    Credit,
    End,
    Flush,
    Message,
    PackedPose,
    Person,
    Pose,
    Prediction,
    Ready,
    Reset,
    Start,
    decode,
    decode_reply,
    encode,
    error_message,
    pack_pose,
    schema,
)
from inkling.service.protocol.errors import BadMessage, BadPose, BadTime, ServiceError


def pose(*people: Any, seq: int = 5, **fields: Any) -> str:
    """JSON of a frame; each of `people` is the keypoints of track 0, 1, ..."""
    rows = [{"track": track, "keypoints": keypoints} for track, keypoints in enumerate(people)]
    return json.dumps({"type": "pose", "seq": seq, "people": rows, **fields})


def frame(text: str | bytes) -> PackedPose:
    message = decode(text)
    assert isinstance(message, PackedPose)
    return message


def test_resuming_is_refused_in_a_sentence_until_it_works() -> None:
    with pytest.raises(BadMessage, match=r"^start\.resume: a stream cannot be resumed yet: leave this out"):
        decode('{"type":"start","bundle":"b","resume":"k3v"}')
    assert decode('{"type":"start","bundle":"b","resume":null}') == Start(bundle="b")


def test_the_messages_of_the_documented_example_are_understood() -> None:
    start = decode(
        '{"type":"start","bundle":"body-actions","input":"pose","skeleton":"coco17","width":1280,"height":720}'
    )
    assert start == Start(bundle="body-actions", skeleton="coco17", width=1280, height=720)
    assert decode('{"type":"reset","track":2}') == Reset(track=2)
    assert decode('{"type":"reset"}') == Reset()
    assert decode('{"type":"flush","id":7}') == Flush(id=7)
    assert decode('{"type":"end"}') == End()


def test_poses_become_arrays_at_once() -> None:
    message = frame(pose([[1, 2, 0.5], [3, 4, 1]], [[5, 6, 1], [7, 8.5, 0]], pts_s=0.25))
    assert (message.seq, message.pts_s, list(message.tracks)) == (5, 0.25, [0, 1])
    assert message.keypoints.dtype == np.float32
    assert message.keypoints.tolist() == [[[1, 2, 0.5], [3, 4, 1]], [[5, 6, 1], [7, 8.5, 0]]]


def test_json_and_packed_bytes_give_the_same_frame() -> None:
    keypoints = np.random.default_rng(0).uniform(0, 640, (2, 17, 3)).astype(np.float32)
    text = frame(pose(*keypoints.tolist(), pts_s=1.5))
    packed = frame(pack_pose(5, [0, 1], keypoints, 1.5))
    assert np.array_equal(text.keypoints, packed.keypoints)
    assert (text.seq, text.pts_s, list(text.tracks)) == (packed.seq, packed.pts_s, list(packed.tracks))


def test_missing_joints_are_not_numbers() -> None:
    keypoints = frame(pose([[1, 2], None, [3, 4]])).keypoints
    assert np.isnan(keypoints[0, 1]).all()
    assert keypoints[0, [0, 2]].tolist() == [[1, 2], [3, 4]]
    assert np.isnan(frame(pose([None, None])).keypoints).all()
    assert np.isnan(frame(pose([[1, 2, 1], [1, 2, 1]], [None, None])).keypoints[1]).all()


def test_a_frame_without_people_is_a_frame() -> None:
    assert frame(pose(pts_s=1.0)).keypoints.shape[0] == 0
    assert frame(pose([], [])).keypoints.shape == (2, 0, 0)


@pytest.mark.parametrize(
    "people",
    [
        [[[1, 2, 1], [3, 4]]],
        [[[1, 2, 1]], [[1, 2, 1], [3, 4, 1]]],
        [[[1, 2, 1], None], [[1, 2, 1]]],
        [[None, [1, 2, 1], [1, 2]]],
        [[[1, 2, 1]], [[1, 2]]],
        [[[1, 2, 1]], []],
        [[[1e30, 2, 1]]],
        [[[10**400, 2, 1]]],
        [[[1, -1e6 - 1, 1]]],
        [[[1, 2, 1e7]]],
        [[None, [1, 1e30]]],
    ],
)
def test_poses_that_cannot_be_are_refused_by_their_seq(people: Any) -> None:
    with pytest.raises(BadPose) as refused:
        decode(pose(*people))
    assert refused.value.seq == 5


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1e30"])
def test_numbers_that_are_none_are_refused(number: str) -> None:
    text = '{"type":"pose","seq":5,"people":[{"track":0,"keypoints":[[1,%s,1]]}]}'
    with pytest.raises(BadPose):
        decode(text % number)
    with pytest.raises(BadPose):
        decode(text.replace("[[1,", "[null,[1,") % number)


@pytest.mark.parametrize("pts_s", ["-0.001", "NaN", "Infinity", "-1e400"])
def test_times_that_cannot_be_are_refused_by_their_seq(pts_s: str) -> None:
    with pytest.raises(BadTime) as refused:
        decode(f'{{"type":"pose","seq":5,"pts_s":{pts_s},"people":[]}}')
    assert refused.value.seq == 5


def test_a_track_twice_in_one_frame_is_refused() -> None:
    person = {"track": 1, "keypoints": [[1, 2, 1]]}
    with pytest.raises(BadPose, match="once in a frame"):
        decode(json.dumps({"type": "pose", "seq": 1, "people": [person, person]}))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        '"start"',
        "\ud800",
        '{"type":"dance"}',
        '{"bundle":"tiny"}',
        '{"type":"start"}',
        '{"type":"start","bundle":"tiny","surprise":1}',
        '{"type":"start","bundle":"tiny","policy":"later"}',
        '{"type":"start","bundle":"tiny","top_k":0}',
        '{"type":"pose","seq":-1,"people":[]}',
        '{"type":"pose","seq":9007199254740992,"people":[]}',
        '{"type":"pose","people":[]}',
        '{"type":"pose","seq":1,"people":[{"track":2147483648,"keypoints":[]}]}',
        '{"type":"pose","seq":1,"people":[{"track":1,"keypoints":["a"]}]}',
        '{"type":"pose","seq":1,"people":[{"track":1}]}',
        "[" * 100_000,
    ],
)
def test_what_does_not_fit_the_schema_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BadMessage) as refused:
        decode(text)
    assert str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 500


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["seq", "track", "a"]), inner, max_size=3)
    ),
    max_leaves=20,
)


@given(
    st.text(max_size=50)
    | _json.map(json.dumps)
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["start", "pose", "reset", "flush", "end", "ready"])},
        optional=dict.fromkeys(("seq", "pts_s", "people", "id", "track", "bundle", "version", "top_k"), _json),
    ).map(json.dumps)
)
def test_whatever_is_sent_gives_a_message_or_a_typed_error(text: str) -> None:
    try:
        message = decode(text)
    except (BadMessage, BadPose, BadTime):
        return
    assert isinstance(message, (Start, PackedPose, Reset, Flush, End))


@given(
    st.lists(
        st.lists(st.none() | st.lists(st.floats() | st.integers(-(10**40), 10**40), max_size=4), max_size=3),
        max_size=3,
    )
)
def test_whatever_joints_are_sent_the_frame_is_finite_or_missing_or_refused(people: list[Any]) -> None:
    try:
        message = frame(pose(*people))
    except (BadPose, BadMessage):
        return
    missing = np.isnan(message.keypoints)
    assert (missing == missing[..., :1]).all()
    assert (np.abs(message.keypoints[~missing]) <= 1e6).all()
    assert len(message.keypoints) == len(people)


PREDICTION = Prediction(
    seq=1, pts_s=0.5, track=2, label="a", probabilities=[0.75, 0.25], epoch=0, skipped=1, dropped=2, backlog=3
)


@pytest.mark.parametrize(
    "message",
    [
        Ready(stream="s", bundle="tiny", version="1", labels=("a", "b"), rate_hz=15.0, credits=8),
        PREDICTION,
        Prediction(
            seq=1,
            pts_s=0.5,
            track=2,
            label="a",
            probabilities=[0.75],
            classes=[0],
            epoch=1,
            reset="gap",
            skipped=1,
            dropped=2,
            backlog=3,
        ),
        Credit(seq=4, skipped=1, dropped=0),
        error_message(BadPose("no")),
    ],
)
def test_answers_are_read_back_as_they_were_sent(message: Any) -> None:
    assert decode_reply(encode(message)) == message


def test_what_is_none_is_left_out() -> None:
    text = encode(PREDICTION)
    assert json.loads(text) == {
        "type": "prediction", "seq": 1, "pts_s": 0.5, "track": 2, "label": "a", "probabilities": [0.75, 0.25],
        "epoch": 0, "skipped": 1, "dropped": 2, "backlog": 3,
    }  # fmt: skip


def test_what_a_client_encodes_is_decoded() -> None:
    start = Start(bundle="tiny", top_k=3)
    assert decode(encode(start)) == start
    message: Message = Pose(seq=1, people=[Person(track=3, keypoints=[(1.0, 2.0, 1.0), None])])
    decoded = frame(encode(message))
    assert decoded.tracks == [3]
    assert np.isnan(decoded.keypoints[0, 1]).all()


def test_an_error_names_its_frame() -> None:
    error = BadPose("wrong")
    error.seq = 4
    assert error_message(error).seq == 4
    assert error_message(BadPose("wrong"), 6).seq == 6
    assert error_message(BadPose("wrong")).model_dump() == {
        "type": "error", "code": "bad_pose", "message": "wrong", "retryable": False, "seq": None,
    }  # fmt: skip


def test_the_schema_lists_every_message_and_every_error() -> None:
    document = json.loads(json.dumps(schema()))
    assert set(document["incoming"]["discriminator"]["mapping"]) == {"start", "pose", "reset", "flush", "end"}
    assert "prediction" in document["outgoing"]["discriminator"]["mapping"]
    kinds = [
        kind for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, ServiceError) and kind is not ServiceError
    ]  # fmt: skip
    assert set(document["errors"]) == {kind.code for kind in kinds}
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert document["errors"]["over_capacity"]["close"] == 1013
    assert document["errors"]["bad_pose"]["close"] is None
    assert "INKL" in document["packed"]


def test_a_joint_of_many_numbers_is_refused_before_each_null_takes_as_many() -> None:
    keypoints = [[0.0] * 1000, *[None] * 1000]
    with pytest.raises(BadPose, match="at most 4 numbers") as refused:
        decode(json.dumps({"type": "pose", "seq": 3, "people": [{"track": 1, "keypoints": keypoints}]}))
    assert refused.value.seq == 3
