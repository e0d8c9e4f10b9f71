"""One clip in each format gives the same arrays; what is wrong with it is said in a sentence."""

from __future__ import annotations

import codecs
import contextlib
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.service.clips.pose_clip import PoseClip, parse_clip
from inkling.service.protocol.errors import BadClip, ServiceError

KEYPOINTS = np.random.default_rng(0).uniform(1, 400, (4, 17, 3)).astype(np.float32)
ROWS = KEYPOINTS.astype(float).tolist()


def flat(frame: int) -> list[float]:
    return [number for joint in ROWS[frame] for number in joint]


def coco() -> list[dict[str, Any]]:
    return [{"image_id": 7 + t, "category_id": 1, "keypoints": flat(t), "score": 0.9} for t in range(4)]


def openpose() -> list[dict[str, Any]]:
    return [{"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": flat(t)}]} for t in range(4)]


def landmarks(frame: int) -> list[dict[str, float]]:
    return [{"x": x, "y": y, "z": -0.2, "visibility": c} for x, y, c in ROWS[frame]]


def table() -> str:
    header = ",".join(f"j{joint}_{number}" for joint in range(17) for number in "xyc")
    lines = [f"{t / 10},{','.join(map(str, flat(t)))}" for t in range(4)]
    return "\n".join([f"pts_s,{header}", *lines])


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, KEYPOINTS)
    return file.getvalue()


OURS = json.dumps({"people": [{"keypoints": ROWS}]})
FORMATS = {
    "ours": OURS.encode(),
    "with a byte order mark": codecs.BOM_UTF8 + OURS.encode(),
    "UTF-16": OURS.encode("utf-16"),
    "UTF-16 of the other order": codecs.BOM_UTF16_BE + OURS.encode("utf-16-be"),
    "COCO results": json.dumps(coco()).encode(),
    "COCO annotations": json.dumps({"images": [{"id": 1}], "info": {}, "annotations": coco()}).encode(),
    "OpenPose list": json.dumps(openpose()).encode(),
    "OpenPose files": "".join(json.dumps(frame) for frame in openpose()).encode(),
    "MediaPipe lists": json.dumps([landmarks(t) for t in range(4)]).encode(),
    "MediaPipe results": json.dumps([{"landmarks": [landmarks(t)]} for t in range(4)]).encode(),
    "MediaPipe lines": "\n".join(json.dumps({"poseLandmarks": landmarks(t)}) for t in range(4)).encode(),
    "table": table().encode(),
    "npy": npy(),
}


def parse(body: bytes) -> PoseClip:
    clip = parse_clip(body, max_bytes=1024 * 1024, max_frames=100)
    assert isinstance(clip, PoseClip)
    return clip


@pytest.mark.parametrize("body", FORMATS.values(), ids=FORMATS)
def test_one_clip_is_the_same_in_every_format(body: bytes) -> None:
    clip = parse(body)
    ((_, keypoints),) = clip.people.items()
    np.testing.assert_array_equal(keypoints, KEYPOINTS)
    assert all(there.all() for there in clip.present.values())
    assert clip.warnings == ()


def test_a_frame_without_people_keeps_its_place() -> None:
    rows = coco()
    del rows[1]
    frames = openpose()
    frames[1]["people"] = []
    marks = [landmarks(0), None, landmarks(2), landmarks(3)]
    for body in (rows, frames, marks):
        (there,) = parse(json.dumps(body).encode()).present.values()
        assert there.tolist() == [True, False, True, True]


def test_people_with_tracks_are_kept_apart_and_of_others_the_surest_is_read() -> None:
    rows = [*coco(), *({**row, "keypoints": [1.0] * 51, "score": 0.1} for row in coco())]
    clip = parse(json.dumps(rows).encode())
    np.testing.assert_array_equal(clip.people[-1], KEYPOINTS)
    assert clip.warnings[0].startswith("4 images have several people of one track or of none")
    tracked = [row | {"track_id": track} for row, track in zip(rows, [1] * 4 + ["b"] * 4, strict=True)]
    assert set(parse(json.dumps(tracked).encode()).people) == {1, "b"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\xff\xfe\x00\xd8{", "begins as UTF-16"),
        (b'{"people": "\xff"}', "not UTF-8"),
        (b"....ftypisom", "this is an MP4 or MOV video; send JSON"),
        (b"<!DOCTYPE html>", "an HTML or XML page"),
        (b"nose,left_eye\n1,2", "neither JSON nor .npz nor .csv; send"),
        (b"nose_x,eye_y\n1,2", "the header of the .csv is"),
        (b"nose_x,nose_y\n1,2,3", "line 2 of the .csv has 3 cells"),
        (b"nose_x,nose_y\n1,two", "'two' is no number"),
        (b'[{"image_id": 1, "keypoints": [1, 2]}]', "x, y, confidence of each joint in a row"),
        (b'[{"image_id": 1.5, "keypoints": [1, 2]}]', "a COCO result is an object with image_id"),
        (b'{"people": [{"pose_keypoints_2d": {}}]}', "pose_keypoints_2d, a list"),
        (b'[[{"x": 1, "visibility": 1}]]', "a landmark is an object with x, y"),
        (b'[{"landmarks": []}]', "there is nobody in this clip"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(body: bytes, says: str) -> None:
    with pytest.raises(BadClip, match=says):
        parse(body)


@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_a_damaged_file_of_any_format_is_a_clip_or_a_typed_error(name: str, data: st.DataObject) -> None:
    body = bytearray(FORMATS[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(ServiceError):
        list(parse(bytes(body)).at(15).messages())
