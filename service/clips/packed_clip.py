"""What the process that reads a clip says to the server: a head in JSON, then the arrays it announces. Pure.

    u32 length of the head, little-endian
    {"people": [{"track": 1, "frames": T, "joints": J, "numbers": C}, ...], "times": T or null, "skeleton": ...}
    for each person T * J * C f32 and T bytes of presence, then T f64 of times

or, of a clip whose people come and go (`TrackedClip`), N rows

    {"rows": N, "joints": J, "numbers": C, "skeleton": ...}
    N * J * C f32, N i64 of tracks, N f64 of times

or the head `{"error": code, "message": sentence}` alone. The server trusts none of it: what is announced is checked
before arrays are made.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from inkling.service.clips.pose_arrays import PoseClip, TrackedClip
from inkling.service.protocol.errors import BadClip, ServiceError, TooLarge
from inkling.service.protocol.messages import PictureSide
from inkling.service.protocol.pose_message import MAX_PEOPLE
from inkling.service.protocol.track_id import TrackId, read_track

LENGTH = struct.Struct("<I")
MAX_HEAD = 2**20
"""Bytes of the head."""
OUT_OF_MEMORY = "out_of_memory"
_KINDS: dict[str, type[ServiceError]] = {kind.code: kind for kind in (BadClip, TooLarge)}
_Size = Annotated[int, Field(ge=0, lt=2**32)]
_Text = Annotated[str, Field(max_length=1000)]


class _Person(BaseModel):
    model_config = ConfigDict(strict=True)
    track: int | Annotated[str, Field(max_length=200)]
    joints: _Size
    numbers: _Size
    frames: _Size


class _Said(BaseModel):
    model_config = ConfigDict(strict=True)
    skeleton: _Text | None
    width: PictureSide | None
    height: PictureSide | None
    warnings: Annotated[list[_Text], Field(max_length=100)]


class _Clip(_Said):
    people: Annotated[list[_Person], Field(max_length=MAX_PEOPLE)]
    times: _Size | None


class _Rows(_Said):
    rows: _Size
    joints: _Size
    numbers: _Size


class _Error(BaseModel):
    error: Literal["bad_clip", "too_large", "out_of_memory"]
    message: _Text


class ReaderOutOfMemory(Exception):
    """The clip needs more memory than its reader was given."""


def pack_clip(clip: PoseClip | TrackedClip) -> list[bytes | memoryview]:
    """The head and the arrays, in order."""
    head: dict[str, Any] = {
        "skeleton": clip.skeleton,
        "width": clip.width,
        "height": clip.height,
        "warnings": [warning[:1000] for warning in clip.warnings[:100]],
    }
    arrays: list[NDArray[Any]] = []
    if isinstance(clip, TrackedClip):
        rows, joints, numbers = clip.keypoints.shape
        head |= {"rows": rows, "joints": joints, "numbers": numbers}
        arrays += [clip.keypoints, clip.tracks, clip.times]
    else:
        head["people"] = [
            {"track": track, "frames": len(array), "joints": array.shape[1], "numbers": array.shape[2]}
            for track, array in clip.people.items()
        ]
        head["times"] = None if clip.pts_s is None else len(clip.pts_s)
        for track, array in clip.people.items():
            arrays += [array, clip.present[track]]
        if clip.pts_s is not None:
            arrays.append(clip.pts_s)
    return [_with_length(head), *(np.ascontiguousarray(array).data.cast("B") for array in arrays)]


def pack_error(error: ServiceError | MemoryError) -> bytes:
    """The head that says why there is no clip."""
    code = error.code if isinstance(error, ServiceError) else OUT_OF_MEMORY
    return _with_length({"error": code, "message": str(error)})


def _with_length(head: dict[str, Any]) -> bytes:
    data = json.dumps(head).encode()
    return LENGTH.pack(len(data)) + data


@dataclass(frozen=True, slots=True)
class ClipHead:
    """What is announced."""

    clip: _Clip | _Rows

    @property
    def bytes(self) -> int:
        """Of all arrays."""
        if isinstance(self.clip, _Rows):
            return self.clip.rows * (4 * self.clip.joints * self.clip.numbers + 16)
        each = [person.frames * (4 * person.joints * person.numbers + 1) for person in self.clip.people]
        return sum(each) + 8 * (self.clip.times or 0)

    def arrays(self) -> tuple[PoseClip | TrackedClip, Sequence[NDArray[Any]]]:
        """The clip, and its arrays in the order in which they are to be filled. Raises ValueError."""
        said = self.clip
        about = (said.skeleton, said.width, said.height)
        if isinstance(said, _Rows):
            keypoints = np.empty((said.rows, said.joints, said.numbers), np.float32)
            tracks, seconds = np.empty(said.rows, np.int64), np.empty(said.rows, np.float64)
            clip = TrackedClip(keypoints, tracks, seconds, *about, warnings=tuple(said.warnings))
            return clip, [keypoints, tracks, seconds]
        people: dict[TrackId, NDArray[np.float32]] = {}
        present: dict[TrackId, NDArray[np.bool_]] = {}
        arrays: list[NDArray[Any]] = []
        for person in said.people:
            track = read_track(person.track)
            people[track] = np.empty((person.frames, person.joints, person.numbers), np.float32)
            present[track] = np.empty(person.frames, np.bool_)
            arrays += [people[track], present[track]]
        times = None if said.times is None else np.empty(said.times, np.float64)
        if times is not None:
            arrays.append(times)
        return PoseClip(people, present, times, *about, tuple(said.warnings)), arrays


def unpack_head(data: bytes) -> ClipHead:
    """What the head announces. Raises the error that it says, ReaderOutOfMemory; ValueError for what is no head."""
    try:
        fields: Any = json.loads(data)
        if isinstance(fields, dict) and "error" in fields:
            said = _Error.model_validate(fields)
        else:
            kind = _Rows if isinstance(fields, dict) and "rows" in fields else _Clip
            return ClipHead(kind.model_validate(fields))
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if said.error == OUT_OF_MEMORY:
        raise ReaderOutOfMemory
    raise _KINDS[said.error](said.message)
