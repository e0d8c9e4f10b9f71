from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inkling.service.client.clips import clip_body, read_timeline
from inkling.service.client.errors import BadArgument, ClientError, RemoteError

ANSWER = {
    "bundle": "b",
    "version": "1",
    "labels": ["x", "y"],
    "rate_hz": 15.0,
    "timeline": [
        {"pts_s": 0.0, "track": 4, "probabilities": [0.25, 0.75], "epoch": 0},
        {"pts_s": 0.0, "track": 1, "probabilities": [1.0, 0.0], "epoch": 0},
        {"pts_s": 0.5, "track": 4, "probabilities": [0.5, 0.5], "epoch": 0},
    ],
    "warnings": [],
}


def test_a_timeline_of_what_comes_says_for_when() -> None:
    entry = {"pts_s": 1.0, "for_s": 1.5, "track": 1, "probabilities": [0.5, 0.5], "epoch": 0}
    answer = ANSWER | {"task": "anticipation", "lead_s": 0.5, "timeline": [entry]}
    timeline = read_timeline(200, json.dumps(answer).encode())
    assert (timeline.lead_s, timeline.entries[0].for_s) == (0.5, 1.5)
    plain = read_timeline(200, json.dumps(ANSWER).encode())
    assert (plain.lead_s, plain.entries[0].for_s) == (0.0, None)


def test_one_persons_array_becomes_the_json_of_the_protocol() -> None:
    keypoints = np.arange(2 * 3 * 3, dtype=np.float32).reshape(2, 3, 3)
    body, kind = clip_body(keypoints, "coco17", 25.0)
    assert kind == "application/json"
    people = [{"track": 1, "keypoints": keypoints.tolist()}]
    assert json.loads(body) == {"people": people, "skeleton": "coco17", "fps": 25.0}


def test_several_people_keep_their_tracks_and_joints_with_a_nan_are_null() -> None:
    keypoints = np.ones((2, 3, 2))
    keypoints[1, 2, 0] = np.nan
    message = json.loads(clip_body({7: np.zeros((1, 1, 2)), 3: keypoints}, None, None)[0])
    assert [person["track"] for person in message["people"]] == [7, 3]
    assert message["people"][1]["keypoints"] == [[[1, 1]] * 3, [[1, 1], [1, 1], None]]
    assert set(message) == {"people"}


@pytest.mark.parametrize("shape", [(17, 3), (2, 2, 17, 3)])
def test_an_array_that_is_no_clip_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadArgument, match="frames, joints, numbers"):
        clip_body(np.ones(shape), None, None)


def test_a_file_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "clip.NPZ"
    path.write_bytes(b"PK anything")
    assert clip_body(path, None, None) == (b"PK anything", "application/octet-stream")
    assert clip_body(str(path), None, None)[0] == b"PK anything"


def test_a_file_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"gone\.npz: cannot be read: No such file"):
        clip_body(tmp_path / "gone.npz", None, None)


def test_a_file_that_holds_no_poses_by_its_name_is_sent_as_a_video(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"ftyp")
    assert clip_body(path, None, None) == (b"ftyp", "video/unknown")


def test_a_timeline_gives_each_tracks_times_and_probabilities() -> None:
    timeline = read_timeline(200, json.dumps(ANSWER).encode())
    assert timeline.tracks == [1, 4]
    pts_s, probabilities = timeline.of(4)
    np.testing.assert_array_equal(pts_s, [0, 0.5])
    np.testing.assert_array_equal(probabilities, [[0.25, 0.75], [0.5, 0.5]])
    assert timeline.of(9)[1].shape == (0, 2)
    assert timeline.raw == ANSWER


def test_fields_that_a_newer_server_adds_are_no_error() -> None:
    first = {**ANSWER["timeline"][0], "seq": 0}  # type: ignore[index]
    answer = {**ANSWER, "events": [], "timeline": [first]}
    assert len(read_timeline(200, json.dumps(answer).encode()).entries) == 1


def test_the_servers_refusal_is_typed() -> None:
    body = b'{"code":"too_large","message":"the clip is too large","retryable":false}'
    with pytest.raises(RemoteError, match="too large") as caught:
        read_timeline(413, body)
    assert caught.value.code == "too_large"
    assert caught.value.fatal


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (502, b"<html>", "502 without JSON"),
        (404, b'{"detail":"Not Found"}', "404.*Not Found"),
        (200, b"{}", "bundle"),
        (200, b"[]", "timeline is not one"),
    ],
)
def test_an_answer_that_is_not_ours_is_one_sentence(status: int, body: bytes, words: str) -> None:
    with pytest.raises(ClientError, match=words):
        read_timeline(status, body)
