from __future__ import annotations

import json
import sys
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
from inkling.service.protocol.errors import BadMessage, BadPose, BadTime, ServiceError, TooLarge, TooManyPeople


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
    assert set(document["incoming"]["discriminator"]["mapping"]) == {"start", "pose", "reset", "flush", "end", "token"}
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
    keypoints = [[0.0] * 1000, *[None] * 500]
    with pytest.raises(BadPose, match="at most 4 numbers") as refused:
        decode(json.dumps({"type": "pose", "seq": 3, "people": [{"track": 1, "keypoints": keypoints}]}))
    assert refused.value.seq == 3


# -- tracks of any kind -------------------------------------------------------------------------------------------
def people(*tracks: Any, **fields: Any) -> str:
    """JSON of a frame with one joint for each track; a track of `...` is left out."""
    rows: list[dict[str, Any]] = [{"track": track, "keypoints": [[1, 2, 1]]} for track in tracks]
    for row in rows:
        if row["track"] is ...:
            del row["track"]
    return json.dumps({"type": "pose", "seq": 5, "people": rows, **fields})


@pytest.mark.parametrize(
    "track", [0, 2**31, 2**53 + 1, 2**64 - 1, "6f1c2b9e-52a1-4c0e-9d4e-6c1d3f0a7b12", "7", "ü" * 64]
)
def test_numbers_of_64_bits_and_texts_are_tracks_as_they_came(track: Any) -> None:
    for extra in ({}, {"pts_s": 1}):  # the short way, and the full one
        assert frame(people(track, 1.0, **extra)).tracks == [track, 1]


@pytest.mark.parametrize("track", [-1, None, ..., -1.0])
def test_one_person_may_be_without_a_track(track: Any) -> None:
    assert frame(people(track, 4)).tracks == [-1, 4]


@pytest.mark.parametrize("track", [-2, 2**64, 10**400, "", "x" * 65, True, 1.5, [], {}, "nan"])
def test_a_wrong_track_refuses_its_person_and_no_other(track: Any) -> None:
    text = people(track, 4) if track != "nan" else people("T", 4).replace('"T"', "NaN")
    message = frame(text)
    assert message.tracks == [4]
    assert message.keypoints.tolist() == [[[1, 2, 1]]]
    assert message.refused is not None
    assert message.refused.startswith("a track is a whole number from 0 to 2**64 - 1")
    assert len(message.refused) < 300
    with pytest.raises(BadPose) as refused:
        decode(text.replace(', {"track": 4, "keypoints": [[1, 2, 1]]}', ""))
    assert refused.value.seq == 5


def test_of_several_people_without_a_track_none_is_taken_for_another() -> None:
    for message in (frame(people(None, 3, -1)), frame(pack_pose(5, [-1, 3, -1], np.ones((3, 1, 3))))):
        assert list(message.tracks) == [3]
        assert message.refused == (
            "only one person of a frame may be without a track; give each of them a number or a text"
            " (2 people of this frame are refused)"
        )
    with pytest.raises(BadPose, match="only one person"):
        decode(people(None, -1))
    with pytest.raises(BadPose, match="only one person"):
        decode(pack_pose(5, [-1, -1], np.ones((2, 1, 3))))


# -- what a message costs -----------------------------------------------------------------------------------------
LIMIT = 128 * 1024


def filled(before: str, item: str, after: str) -> str:
    """As many of `item` as a text message holds."""
    count = (LIMIT - len(before) - len(after)) // (len(item) + 1)
    return before + ",".join([item] * count) + after


MANY = {
    "wrong people": filled('{"type":"pose","seq":5,"people":[', '{"a":1}', "]}"),
    "numbers for people": filled('{"type":"pose","seq":5,"people":[', "1", "]}"),
    "nulls for people": filled('{"type":"pose","seq":5,"people":[', "null", "]}"),
    "empty people": filled('{"type":"pose","seq":5,"people":[', '{"keypoints":[]}', "]}"),
    "missing joints": filled('{"type":"pose","seq":5,"people":[{"keypoints":[', "null", "]}]}"),
    "points": filled('{"type":"pose","seq":5,"people":[{"keypoints":[', "[1,2]", "]}]}"),
    "numbers of one joint": filled('{"type":"pose","seq":5,"people":[{"keypoints":[null,[', "1", "]]}]}"),
    "fields": '{"type":"pose",' + ",".join(f'"{i}":0' for i in range(10_000)) + "}",
    "fields of a start": '{"type":"start",' + ",".join(f'"{i}":0' for i in range(10_000)) + "}",
    "fields of a person": '{"type":"pose","seq":5,"people":[{' + ",".join(f'"{i}":0' for i in range(10_000)) + "}]}",
    "lists": filled("[", "[]", "]"),
}


@pytest.mark.parametrize("text", MANY.values(), ids=MANY)
def test_of_many_mistakes_the_first_is_named_and_no_other_is_made(text: str) -> None:
    """Counted in Python calls, which do not grow with the message: what is left is the parser's work."""
    assert len(text) <= LIMIT
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        with pytest.raises(ServiceError):
            decode(text)
    finally:
        sys.setprofile(None)
    assert calls < 5000


def test_a_longer_text_is_too_large_and_packed_poses_are_not() -> None:
    with pytest.raises(TooLarge, match="at most 131072 characters"):
        decode(" " * (LIMIT + 1))
    with pytest.raises(TooLarge, match="at most 10 characters, not 14"):
        decode('{"type":"end"}', 10)
    assert decode(" " * (LIMIT - 14) + '{"type":"end"}') == End()
    assert frame(pack_pose(5, range(1000), np.ones((1000, 33, 3)))).keypoints.shape == (1000, 33, 3)


def test_more_people_than_any_server_watches_are_refused_by_their_seq() -> None:
    with pytest.raises(TooManyPeople) as refused:
        decode(MANY["empty people"])
    assert refused.value.seq == 5
