"""Clips: parsing of JSON and .npz from strangers, and a clip over REST giving the numbers of a stream."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.clips.pose_clip import PoseClip, parse_clip
from inkling.service.protocol.codec import PackedPose, Pose, Prediction, decode
from inkling.service.protocol.errors import BadClip, ServiceError, TooLarge
from tests.service.conftest import Running, play
from tests.support import poses

MIB = 1024 * 1024


def parse(body: bytes, max_bytes: int = MIB, max_frames: int = 100) -> PoseClip:
    clip = parse_clip(body, max_bytes=max_bytes, max_frames=max_frames)
    assert isinstance(clip, PoseClip)
    return clip


def as_json(keypoints: Any, **fields: Any) -> bytes:
    return json.dumps({"fps": 15, "people": [{"track": 1, "keypoints": keypoints}], **fields}).encode()


def as_npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def body13(frames: int, value: float = 1.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.full((frames, 13, 3), value, np.float32)


# -- parsing ------------------------------------------------------------------------------------------------------
def test_json_gives_people_times_and_what_they_are_in() -> None:
    clip = parse(as_json([[[1, 2, 0.5]], [[3, 4, 1]]], fps=4, skeleton="coco17", width=640, height=480))
    assert (clip.skeleton, clip.width, clip.height, clip.frames) == ("coco17", 640, 480, 2)
    np.testing.assert_array_equal(clip.people[1], [[[1, 2, 0.5]], [[3, 4, 1]]])
    assert [message.pts_s for message in clip.messages()] == [0, 0.25]


def test_null_is_a_missing_joint_or_an_absent_person() -> None:
    clip = parse(as_json([None, [None, [5, 6]], [[7, 8], [9, 10]]]))
    np.testing.assert_array_equal(clip.present[1], [False, True, True])
    messages = list(clip.messages())
    assert [len(message.tracks) for message in messages] == [0, 1, 1]
    np.testing.assert_array_equal(messages[1].keypoints, [[[np.nan, np.nan], [5, 6]]])


def tracked(**changes: Any) -> dict[str, Any]:
    """Two people: both in the second of three frames."""
    rows: dict[str, Any] = {"keypoints": body13(4), "tracks": np.array([1, 1, 5, 5]), "pts_s": [0.0, 0.1, 0.1, 0.2]}
    return rows | {"skeleton": "body13", "width": 640, "height": 480} | changes


def test_npz_with_tracks_gives_everybody_in_each_frame() -> None:
    keypoints = body13(4)
    keypoints[2, 3] = np.nan
    clip = parse_clip(as_npz(**tracked(keypoints=keypoints)), max_bytes=MIB, max_frames=3)
    assert (clip.skeleton, clip.width, clip.height, clip.frames) == ("body13", 640, 480, 3)
    messages = list(clip.messages())
    assert [(message.seq, message.pts_s, message.tracks) for message in messages] == [
        (0, 0.0, [1]),
        (1, 0.1, [1, 5]),
        (2, 0.2, [5]),
    ]
    np.testing.assert_array_equal(np.isnan(messages[1].keypoints).all(axis=(0, 2)), np.arange(13) == -1)
    assert np.isnan(messages[1].keypoints[1, 3]).all()
    assert [message.pts_s for message in clip.at(2.0).messages()] == [0.0, 0.5, 1.0]
    with pytest.raises(TooLarge, match="3 frames, this server takes 2"):
        parse_clip(as_npz(**tracked()), max_bytes=MIB, max_frames=2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tracks": np.array([1, 1, 5])}, "tracks must be whole numbers"),
        ({"tracks": np.array([1.0, 1, 5, 5])}, "tracks must be whole numbers"),
        ({"tracks": np.array([1, 1, -7, 5])}, "from 0 to"),
        ({"tracks": np.array([1, 1, 2**40, 5])}, "from 0 to"),
        ({"pts_s": [0.0, 0.1, 0.1]}, "needs its time"),
        ({"pts_s": [0.0, 0.2, 0.1, 0.3]}, "must never fall"),
        ({"pts_s": [0.0, np.nan, 0.1, 0.3]}, "must never fall"),
        ({"width": -1}, "width must be one whole number"),
        ({"height": [1, 2]}, "height must be one whole number"),
    ],
)
def test_tracks_that_make_no_sense_are_one_sentence(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadClip, match=words):
        parse_clip(as_npz(**tracked(**changes)), max_bytes=MIB, max_frames=100)


def test_npz_gives_one_person_on_track_0() -> None:
    keypoints = body13(3)
    keypoints[1, 4] = np.nan
    clip = parse(as_npz(keypoints=keypoints, pts_s=np.array([0.0, 0.1, 0.3])))
    messages = list(clip.messages())
    assert [(m.seq, m.pts_s, list(m.tracks)) for m in messages] == [(0, 0.0, [0]), (1, 0.1, [0]), (2, 0.3, [0])]
    np.testing.assert_array_equal(messages[1].keypoints[0], keypoints[1])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f8", "<i2"])
def test_npz_arrays_of_any_number_type_and_order_are_read(dtype: str, order: str) -> None:
    keypoints = np.asarray(np.arange(24).reshape(2, 4, 3), dtype=dtype, order="F" if order == "F" else "C")
    clip = parse(as_npz(keypoints=keypoints, fps=np.float32(10), skeleton="mine"))
    np.testing.assert_array_equal(clip.people[0], keypoints.astype(np.float32))
    assert clip.skeleton == "mine"
    assert [message.pts_s for message in clip.messages()] == pytest.approx([0, 0.1])


def test_the_frame_rate_of_the_request_beats_the_clips_times() -> None:
    clip = parse(as_npz(keypoints=body13(2), pts_s=np.array([5.0, 6.0])))
    assert [message.pts_s for message in clip.at(2.0).messages()] == [0.0, 0.5]
    assert [message.pts_s for message in clip.at(None).messages()] == [5.0, 6.0]


def test_a_clip_without_times_asks_for_them() -> None:
    with pytest.raises(BadClip, match="send fps or pts_s"):
        parse(as_npz(keypoints=body13(2))).at(None)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf"), 1e5])
def test_an_impossible_frame_rate_is_refused(fps: float) -> None:
    with pytest.raises(BadClip, match="fps must be"):
        parse(as_npz(keypoints=body13(2))).at(fps)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "neither JSON nor"),
        (b"\x00\x01garbage", "neither JSON nor"),
        (b"[1, 2]", "neither JSON nor"),
        (b'{"people": [', "not JSON"),
        (b"{" * 100_000, "not JSON"),
        (b"{}", "people: Field required"),
        (as_json([]), "at least one frame must have joints"),
        (as_json([None]), "at least one frame must have joints"),
        (as_json(5), "keypoints"),
        (as_json([[[1, 2, 1]], [[1, 2, 1], [1, 2, 1]]]), "equally many joints"),
        (as_json([[[1, 2, 1], [1, 2]]]), "equally many joints"),
        (as_json([[["1", "2", "1"]]]), "joints of numbers"),
        (as_json([[[True, False, True]]]), "joints of numbers"),
        (as_json([[[{}, 2, 1]]]), "joints"),
        (as_json([[[1, 2, 1]]], colour="red"), "colour: Extra inputs"),
        (as_json([[[1, 2, 1]]], pts_s=[0.0, 1.0]), "1 frames and 2 times"),
        (as_json([[[1, 2, 1]]], people=[{"track": 1, "keypoints": [[[1, 2]]]}] * 2), "track 1 is there twice"),
        (
            as_json(0, people=[{"track": t, "keypoints": [[[1, 2]] * t]} for t in (1, 2)]),
            "everybody must have equally many",
        ),
        (as_npz(points=body13(2)), "there is none"),
        (as_npz(keypoints=body13(2)[0]), r"it is float32 \(13, 3\)"),
        (as_npz(keypoints=np.array([[["a"]]])), "it is <U1"),
        (as_npz(keypoints=body13(2), pts_s=np.zeros((2, 2))), "pts_s must be seconds"),
        (as_npz(keypoints=body13(2), pts_s=np.zeros(3)), "2 frames and 3 times"),
        (as_npz(keypoints=body13(2), fps=np.zeros(3)), "fps must be one number"),
        (as_npz(keypoints=body13(0)), "no frames"),
        (as_npz(keypoints=body13(2))[:200], "cannot be read"),
        (as_npz(keypoints=np.array([{"a": 1}], dtype=object)), "Python objects, which are never unpacked"),
    ],
)
def test_what_is_no_clip_is_refused_with_a_sentence(body: bytes, message: str) -> None:
    with pytest.raises(BadClip, match=message):
        parse(body)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e30, 1e300])
def test_coordinates_that_are_none_are_refused_with_their_frame(value: float) -> None:
    keypoints = body13(3).astype(np.float64)
    keypoints[2, 0, 0] = value
    with pytest.raises(BadClip, match=r"^frame 2: keypoints must be finite"):
        list(parse(as_npz(keypoints=keypoints, fps=15)).messages())


def test_not_a_number_and_infinity_are_no_json() -> None:
    for word in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(BadClip, match="not JSON"):
            parse(as_json([[[1, 2, 1]]]).replace(b"[1, 2, 1]", f"[1, {word}, 1]".encode()))


@pytest.mark.parametrize("time", [-1.0, np.nan, np.inf])
def test_impossible_times_are_refused_with_their_frame(time: float) -> None:
    clip = parse(as_npz(keypoints=body13(2), pts_s=np.array([0.0, time])))
    with pytest.raises(BadClip, match=r"^frame 1: pts_s"):
        list(clip.at(None).messages())


def test_too_many_frames_are_too_large() -> None:
    with pytest.raises(TooLarge, match="has 101 frames, this server takes 100"):
        parse(as_npz(keypoints=body13(101)))


def test_nulls_do_not_multiply_beyond_the_limit() -> None:
    long = [[[0.0]] * 500] + [None] * 3000  # 20 kB that stand for 1.5 million numbers
    with pytest.raises(TooLarge, match="more numbers"):
        parse(as_json(long), max_frames=10_000)
    both = json.dumps({"fps": 15, "people": [{"track": track, "keypoints": long[:100]} for track in range(2)]})
    with pytest.raises(TooLarge, match="more numbers"):
        parse(both.encode(), max_bytes=2 * 4 * 500 * 99)
    with pytest.raises(BadClip, match="at most 4 numbers"):
        parse(as_json([[[0.0] * 3000] + [None] * 300]))
    assert parse(both.encode(), max_bytes=2 * 4 * 500 * 100).frames == 100


def test_frames_of_nothing_are_refused_however_many_they_are() -> None:
    header = io.BytesIO()
    shape = (2**45, 0, 3)
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": shape})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("keypoints.npy", header.getvalue())
    with pytest.raises(BadClip, match="joints of numbers in each frame"):
        parse(file.getvalue())


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    file = io.BytesIO()
    np.savez_compressed(file, keypoints=np.zeros((1, 13 * 100_000, 3), np.float32))
    assert len(file.getvalue()) < MIB
    with pytest.raises(TooLarge, match="unpacks to more than"):
        parse(file.getvalue())


def test_a_header_that_promises_more_than_there_is_allocates_nothing() -> None:
    inner = io.BytesIO()
    np.lib.format.write_array_header_1_0(inner, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 13, 3)})
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("keypoints.npy", inner.getvalue())
    with pytest.raises(BadClip, match="not as long as its shape"):
        parse(file.getvalue())


def test_an_array_that_is_no_part_of_the_format_is_not_looked_at() -> None:
    assert parse(as_npz(keypoints=body13(2), extra=np.array([print], dtype=object))).frames == 2


@given(st.binary(max_size=300), st.sampled_from([b"", b"PK", b"PK\x03\x04", b"{", b'{"people":']))
def test_any_bytes_are_a_clip_or_a_typed_error(tail: bytes, head: bytes) -> None:
    with contextlib.suppress(ServiceError):
        parse(head + tail)


@given(st.data())
def test_a_damaged_npz_is_a_clip_or_a_typed_error(data: st.DataObject) -> None:
    body = bytearray(as_npz(keypoints=body13(2), pts_s=np.array([0.0, 0.1])))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ServiceError):
        list(parse(bytes(body)).at(None).messages())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["people", "keypoints", "frame", "fps", "pts_s", "skeleton"]))
def test_any_json_in_any_place_is_a_clip_or_a_typed_error(value: Any, place: str) -> None:
    clip: dict[str, Any] = {"fps": 15, "people": [{"track": 1, "keypoints": [[[1, 2, 1]]]}]}
    if place == "keypoints":
        clip["people"][0]["keypoints"] = value
    elif place == "frame":
        clip["people"][0]["keypoints"] = [[[1, 2, 1]], value]
    else:
        clip[place] = value
    with contextlib.suppress(ServiceError):
        list(parse(json.dumps(clip).encode()).at(None).messages())


def test_a_clips_frame_is_the_frame_that_a_stream_would_have_decoded() -> None:
    rows = [[[1.5, 2.5, 0.5], None], [[3.0, 4.0, 1.0], [5.0, 6.0, 0.0]]]
    clip = parse(as_json(rows))
    for seq, (ours, row) in enumerate(zip(clip.messages(), rows, strict=True)):
        pose = {"type": "pose", "seq": seq, "pts_s": seq / 15, "people": [{"track": 1, "keypoints": row}]}
        theirs = decode(json.dumps(Pose.model_validate(pose).model_dump()))
        assert isinstance(theirs, PackedPose)
        np.testing.assert_array_equal(ours.keypoints, theirs.keypoints)


# -- over REST ----------------------------------------------------------------------------------------------------
def score(server: Running, body: bytes, **query: Any) -> httpx.Response:
    return httpx.post(f"{server.url}/v1/clips", params={"bundle": "tiny"} | query, content=body, timeout=30)


def assert_same(timeline: list[dict[str, Any]], predictions: list[Prediction]) -> None:
    assert [(e["pts_s"], e["track"], e["epoch"]) for e in timeline] == [
        (p.pts_s, p.track, p.epoch) for p in predictions
    ]
    ours, theirs = [e["probabilities"] for e in timeline], [p.probabilities for p in predictions]
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    assert len(timeline) > 0


@pytest.mark.parametrize("fps", [7.0, 15.0, 30.0])
def test_scored_equals_streamed_at_any_frame_rate(server: Running, fps: float) -> None:
    keypoints = poses(40, 1, seed=3)[:, 0]
    answer = score(server, as_npz(keypoints=keypoints, fps=fps)).json()
    streamed = play(server, [(i / fps, {0: row}) for i, row in enumerate(keypoints)])
    assert_same(answer["timeline"], streamed)
    assert (answer["bundle"], answer["version"], answer["rate_hz"]) == ("tiny", "1", 15.0)
    assert answer["labels"] == ["a", "b", "c"]
    assert answer["warnings"] == []


def test_scored_equals_streamed_with_gaps_jumps_and_people_who_come_and_go(server: Running) -> None:
    keypoints = poses(30, 2, seed=4)
    times = [i / 15 for i in range(10)] + [5 + i / 15 for i in range(10)] + [2 + i / 15 for i in range(10)]
    rows = [
        [None if (frame + track) % 9 == 0 else keypoints[frame, track].tolist() for frame in range(30)]
        for track in (0, 1)
    ]
    body = json.dumps({"pts_s": times, "people": [{"track": t, "keypoints": rows[t]} for t in (0, 1)]}).encode()
    answer = score(server, body).json()
    frames = [
        (times[frame], {t: np.asarray(rows[t][frame], np.float32) for t in (0, 1) if rows[t][frame] is not None})
        for frame in range(30)
    ]
    assert_same(answer["timeline"], play(server, frames))
    assert {entry.get("reset") for entry in answer["timeline"]} == {None, "gap", "backward"}


def test_json_and_npz_of_one_clip_give_one_timeline(server: Running) -> None:
    keypoints = poses(20, 1, seed=5)[:, 0]
    of_json = score(server, as_json(keypoints.tolist(), people=[{"track": 0, "keypoints": keypoints.tolist()}])).json()
    of_npz = score(server, as_npz(keypoints=keypoints), fps=15).json()
    assert of_json["timeline"] == of_npz["timeline"]


def test_the_query_names_version_and_skeleton(server: Running) -> None:
    keypoints = np.random.default_rng(0).uniform(0, 400, (5, 17, 3)).astype(np.float32)
    body = as_npz(keypoints=keypoints, fps=15)
    assert score(server, body, skeleton="coco17", version="1").status_code == 200
    refused = score(server, body)
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_clip")
    assert "13 joints" in refused.json()["message"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ({"bundle": "nothing"}, 404, "unknown_bundle"),
        ({"version": "99"}, 404, "unknown_bundle"),
        ({"skeleton": "octopus"}, 415, "unsupported_input"),
        ({"fps": "fast"}, 422, "bad_message"),
        ({"fps": -1}, 422, "bad_message"),
    ],
)
def test_a_wrong_query_is_a_typed_error(server: Running, query: dict[str, Any], status: int, code: str) -> None:
    answer = score(server, as_npz(keypoints=body13(2), fps=15), **query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert set(answer.json()) == {"code", "message", "retryable"}


def test_a_clip_gives_its_stream_and_slots_back(server: Running) -> None:
    assert score(server, as_npz(keypoints=body13(20), fps=15)).status_code == 200
    assert score(server, as_npz(keypoints=np.zeros((20, 5, 3)), fps=15)).status_code == 422
    server.wait_idle()
    (stats,) = server.core.hub.stats()
    assert (stats.streams, stats.slots_used) == (0, 0)


def test_a_body_over_the_limit_is_refused_with_and_without_a_length(server: Running) -> None:
    size = server.core.settings.clips.max_bytes + 1

    def chunks() -> Any:
        for _ in range(size // 65536 + 1):
            yield b"{" + b" " * 65535

    for content in (b" " * size, chunks()):
        answer = httpx.post(f"{server.url}/v1/clips?bundle=tiny", content=content, timeout=30)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
