"""Pose files as streams of frames, for `inkling stream`, and folders of them as clips, for `inkling score`.

`.npz`: arrays `keypoints` (T, J, C) and optionally `pts_s` (T,), `fps` and `skeleton`; one person. With `tracks` (T,)
several: a row for each person in each frame, in the order of `pts_s`.
`.jsonl`: one `pose` message of the protocol a line (`type` and `seq` may be left out, `pts_s` too).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json, to_json

from inkling.models.npz import BadNpz, read_npz_file
from inkling.models.problems import first_problem
from inkling.service.client.errors import ClientError
from inkling.service.client.people import Frame
from inkling.service.protocol.codec import Person
from inkling.service.protocol.track_id import UNTRACKED

BY_JOINTS = {
    13: "body13",
    15: "jhmdb15",
    17: "coco17",
    18: "openpose18",
    20: "kinect20",
    25: "openpose25",
    33: "blazepose33",
}
"""The usual skeleton of so many joints, when nobody says which."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")

    pts_s: float | None = None
    people: list[Person]


def read_frames(path: Path, fps: float = 30.0) -> Iterator[tuple[float, Frame]]:
    """(due, (pts_s, people)) of each frame: when to show it in seconds after the first, and what `Stream.send` takes.

    fps: the rate of a file without `pts_s`. Raises ClientError that names the file, and the line of a bad one.
    """
    if not fps > 0:
        raise ClientError(f"--fps must be positive, not {fps}")
    if path.suffix.lower() == ".npz":
        frames = _read_npz(path)
    elif path.suffix.lower() == ".jsonl":
        frames = _read_jsonl(path)
    else:
        raise ClientError(f"{path}: only .npz and .jsonl files can be streamed")
    first: float | None = None
    for index, (given_s, people) in enumerate(frames):
        pts_s = index / fps if given_s is None else given_s
        first = pts_s if first is None else first
        yield max(pts_s - first, 0.0), (pts_s, people)


def gather_folder(folder: Path) -> bytes:
    """One clip of a folder in which OpenPose wrote a JSON file for each frame: frames in the order of their numbers.

    Raises ClientError that names the file which is no such frame.
    """
    try:
        paths = sorted((path for path in folder.iterdir() if path.suffix.lower() == ".json"), key=_by_numbers)
        frames = [_openpose_frame(path, path.read_bytes()) for path in paths]
    except OSError as error:
        raise ClientError(f"{error.filename}: cannot be read: {_reason(error)}") from error
    if not frames:
        raise ClientError(f"{folder}: there are no .json files in it, as OpenPose writes one for each frame")
    # Nobody may be in the first frames: the server tells the format by the first bytes.
    return b'[{"format":"pose_keypoints_2d",' + b",".join(frames).removeprefix(b"{") + b"]"


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """`frame_9` before `frame_10`."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


def _openpose_frame(path: Path, data: bytes) -> bytes:
    try:
        frame = from_json(data)
    except ValueError:
        raise ClientError(f"{path}: this is no JSON") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("people"), list):
        raise ClientError(f"{path}: a frame of OpenPose has 'people', a list")
    return to_json({"people": frame["people"]})


def guess_skeleton(path: Path, fps: float = 30.0) -> str | None:
    """The skeleton that a file names, else the usual one of its number of joints.

    None when nobody is in it, or it has an unusual number of joints. Raises ClientError as `read_frames` does.
    """
    if path.suffix.lower() == ".npz" and (named := _load_npz(path).get("skeleton")) is not None:
        return str(named)
    for _, (_, people) in read_frames(path, fps):
        for keypoints in people.values() if isinstance(people, dict) else [people]:
            joints, numbers = np.asarray(keypoints).shape
            return "kinect25" if (joints, numbers) == (25, 4) else BY_JOINTS.get(joints)
    return None


def _load_npz(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a file that are ours. Raises ClientError."""
    try:
        found = read_npz_file(path, ("keypoints", "pts_s", "fps", "skeleton", "tracks"))
    except (OSError, BadNpz) as error:
        raise ClientError(f"{path}: cannot be read: {_reason(error)}") from error
    if "keypoints" not in found:
        raise ClientError(f"{path}: there is no array 'keypoints' in it")
    return found


def _read_npz(path: Path) -> Iterator[Frame]:
    arrays = _load_npz(path)
    keypoints, pts_s, fps = arrays["keypoints"], arrays.get("pts_s"), arrays.get("fps")
    if keypoints.ndim != 3 or keypoints.dtype.kind not in "fiu":
        raise ClientError(f"{path}: keypoints must be numbers (frames, joints, 2 to 4), not {keypoints.shape}")
    if pts_s is None and fps is not None and fps.ndim == 0 and fps.dtype.kind in "fiu" and fps > 0:
        pts_s = np.arange(len(keypoints)) / fps
    if pts_s is not None and (pts_s.shape != keypoints.shape[:1] or pts_s.dtype.kind not in "fiu"):
        raise ClientError(f"{path}: {len(keypoints)} frames need as many pts_s, not {pts_s.shape}")
    if (tracks := arrays.get("tracks")) is not None:
        yield from _tracked(path, keypoints, tracks, pts_s)
        return
    for index, frame in enumerate(keypoints):
        yield None if pts_s is None else float(pts_s[index]), frame


def _tracked(
    path: Path, keypoints: np.ndarray[Any, Any], tracks: np.ndarray[Any, Any], pts_s: np.ndarray[Any, Any] | None
) -> Iterator[Frame]:
    """Rows of one time as one frame. Raises ClientError."""
    if pts_s is None or tracks.shape != pts_s.shape or tracks.dtype.kind not in "iu":
        raise ClientError(f"{path}: with tracks, each row of keypoints needs its track and its time in pts_s")
    for time_s, rows in groupby(range(len(tracks)), key=lambda row: float(pts_s[row])):
        yield time_s, {int(tracks[row]): keypoints[row] for row in rows}


def _read_jsonl(path: Path) -> Iterator[Frame]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _read_line(path, number, line)
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{path}: cannot be read: {_reason(error)}") from error


def _read_line(path: Path, number: int, line: str) -> Frame:
    try:
        read = _Line.model_validate_json(line)
        return read.pts_s, {UNTRACKED if one.track is None else one.track: _filled(one) for one in read.people}
    except ValidationError as error:
        raise ClientError(f"{path}:{number}: {first_problem(error)}") from None
    except ValueError:
        raise ClientError(f"{path}:{number}: joints of one person must have equally many numbers") from None


def _filled(person: Person) -> np.ndarray:
    """(J, C) of a person, null joints as NaN. Raises ValueError when joints differ in their numbers."""
    width = max((len(joint) for joint in person.keypoints if joint is not None), default=3)
    missing = (np.nan,) * width
    return np.array([missing if joint is None else joint for joint in person.keypoints], dtype=np.float64)


def _reason(error: Exception) -> str:
    return str((error.strerror if isinstance(error, OSError) else None) or error)
