"""Whole clips of poses, parsed from untrusted bytes. Two formats, told apart by their first bytes:

- JSON `{"skeleton", "fps" or "pts_s": [T], "width", "height", "people": [{"track", "keypoints": [T x J x C]}]}`;
  a frame is null where the person is not there, a joint is null where it is missing.
- `.npz` of the data set format: `keypoints (T, J, D[+1])`, optional `pts_s (T,)`, `fps` and `skeleton`; one person,
  track 0; NaN where a joint is missing. Never unpickled; sizes are checked before anything is unpacked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from inkling.models.npz import BadNpz, NpzTooLarge, read_npz
from inkling.models.problems import first_problem
from inkling.service.protocol.errors import BadClip, ServiceError, TooLarge
from inkling.service.protocol.pose_binary import MAX_NUMBERS, PackedPose, checked_pose

_ARRAYS = ("keypoints", "pts_s", "fps", "skeleton")


@dataclass(frozen=True, slots=True, eq=False)
class PoseClip:
    """A clip as arrays.

    pts_s: float64 (T,), or None when the clip does not say. people: by track, float32 (T, J, C), NaN where a joint is
    missing. present: by track, bool (T,), whether the person is in the frame at all.
    """

    people: Mapping[int, NDArray[np.float32]]
    present: Mapping[int, NDArray[np.bool_]]
    pts_s: NDArray[np.float64] | None = None
    skeleton: str | None = None
    width: int | None = None
    height: int | None = None

    @property
    def frames(self) -> int:
        return max(map(len, self.people.values()), default=0)

    def at(self, fps: float | None) -> PoseClip:
        """The same clip at `fps` frames a second, unless that is None. Raises BadClip when it then has no times."""
        if fps is not None:
            if not 0 < fps <= 1e4:
                raise BadClip(f"fps must be above 0 and at most 10000, not {fps:g}")
            return replace(self, pts_s=np.arange(self.frames) / fps)
        if self.pts_s is None:
            raise BadClip("the clip does not say when its frames are; send fps or pts_s")
        return self

    def messages(self) -> Iterator[PackedPose]:
        """The clip as the frames of a stream. Raises BadClip for a frame that no stream would take."""
        if self.pts_s is None:
            raise BadClip("the clip does not say when its frames are")
        for frame, pts_s in enumerate(self.pts_s.tolist()):
            tracks = [track for track, there in self.present.items() if there[frame]]
            rows = [self.people[track][frame] for track in tracks]
            missing = [np.isnan(row).any(axis=-1, keepdims=True) for row in rows]
            poses = [np.where(gone, 0, row) for gone, row in zip(missing, rows, strict=True)]
            try:
                message = checked_pose(frame, pts_s, tracks, np.array(poses) if poses else np.zeros((0, 0, 0)))
            except ServiceError as error:
                raise BadClip(f"frame {frame}: {error}") from None
            for person, gone in zip(message.keypoints, missing, strict=True):
                person[gone[:, 0]] = np.nan
            yield message


def parse_clip(body: bytes, *, max_bytes: int, max_frames: int) -> PoseClip:
    """A clip of poses. Raises BadClip, or TooLarge when it has more frames or unpacks to more bytes than that."""
    if body[:2] == b"PK":
        clip = _parse_npz(body, max_bytes)
    elif body.lstrip()[:1] == b"{":
        clip = _parse_json(body, max_bytes // 2)
    else:
        raise BadClip("neither JSON nor .npz: send a JSON object or a file that numpy.savez wrote")
    if clip.frames > max_frames:
        raise TooLarge(f"the clip has {clip.frames} frames, this server takes {max_frames}")
    if not clip.frames:
        raise BadClip("the clip has no frames")
    if clip.pts_s is not None and len(clip.pts_s) != clip.frames:
        raise BadClip(f"the clip has {clip.frames} frames and {len(clip.pts_s)} times in pts_s")
    return clip


class _Person(BaseModel):
    model_config = ConfigDict(extra="forbid")

    track: Annotated[int, Field(ge=0, lt=2**31)]
    keypoints: list[Any]


class _Clip(BaseModel):
    model_config = ConfigDict(extra="forbid")

    skeleton: str | None = None
    fps: float | None = None
    pts_s: list[float] | None = None
    width: Annotated[int, Field(gt=0)] | None = None
    height: Annotated[int, Field(gt=0)] | None = None
    people: Annotated[list[_Person], Field(min_length=1)]


def _parse_json(body: bytes, max_numbers: int) -> PoseClip:
    """max_numbers: in all arrays together; as many as there can be without nulls, each of which stands for many."""
    try:
        message = _Clip.model_validate(from_json(body, allow_inf_nan=False))
    except ValidationError as error:
        raise BadClip(first_problem(error, "the clip")) from None
    except ValueError as error:
        raise BadClip(f"not JSON: {error}") from None
    people: dict[int, NDArray[np.float32]] = {}
    for person in message.people:
        if person.track in people:
            raise BadClip(f"track {person.track} is there twice")
        people[person.track] = _to_array(person, max_numbers)
        max_numbers -= people[person.track].size
    if len(shapes := {array.shape for array in people.values()}) > 1:
        raise BadClip(
            f"everybody must have equally many frames and joints, not {' and '.join(sorted(map(str, shapes)))}"
        )
    present = {
        person.track: np.array([frame is not None for frame in person.keypoints], np.bool_) for person in message.people
    }
    pts_s = None if message.pts_s is None else np.array(message.pts_s)
    clip = PoseClip(people, present, pts_s, message.skeleton, message.width, message.height)
    return clip.at(message.fps) if message.fps is not None and pts_s is None else clip


def _to_array(person: _Person, max_numbers: int) -> NDArray[np.float32]:
    """Frames of joints of numbers, each of the first two perhaps null -> (T, J, C), NaN in place of null."""
    where = f"track {person.track}"
    frames = person.keypoints
    joints, numbers = _frame_shape(frames, where)
    if len(frames) * joints * numbers > max_numbers:
        raise TooLarge(f"{where}: the clip unpacks to more numbers than this server takes")
    nothing = [math.nan] * numbers
    nobody = [nothing] * joints
    try:
        array = np.array(
            [nobody if frame is None else [nothing if j is None else j for j in frame] for frame in frames]
        )
    except (TypeError, ValueError):
        raise BadClip(f"{where}: every frame must have equally many joints of equally many numbers") from None
    if array.ndim != 3 or array.dtype.kind not in "iuf":
        raise BadClip(f"{where}: keypoints are frames of joints of numbers")
    return _to_float32(array)


def _frame_shape(frames: list[Any], where: str) -> tuple[int, int]:
    """Joints and numbers of a joint, from the first frame and the first joint that are not null. Raises BadClip."""
    frame: Any = next((frame for frame in frames if frame is not None), [])
    if not isinstance(frame, list) or not frame:
        raise BadClip(f"{where}: keypoints are frames of joints of numbers, and at least one frame must have joints")
    joint = next((j for frame in frames if isinstance(frame, list) for j in frame if isinstance(j, list)), [0.0])
    if len(joint) > MAX_NUMBERS:
        raise BadClip(f"{where}: a joint is at most {MAX_NUMBERS} numbers, not {len(joint)}")
    return len(frame), len(joint)


def _parse_npz(body: bytes, max_bytes: int) -> PoseClip:
    try:
        arrays = read_npz(body, _ARRAYS, max_bytes)
    except NpzTooLarge:
        raise TooLarge(f"the clip unpacks to more than {max_bytes} bytes") from None
    except BadNpz as error:
        raise BadClip(f"the .npz cannot be read: {error}") from None
    keypoints, pts_s, skeleton = _npz_keypoints(arrays), _npz_times(arrays), arrays.get("skeleton")
    clip = PoseClip(
        {0: _to_float32(keypoints)},
        {0: np.ones(len(keypoints), np.bool_)},
        pts_s,
        None if skeleton is None else str(skeleton),
    )
    fps = arrays.get("fps")
    if pts_s is not None or fps is None:
        return clip
    if fps.shape != () or fps.dtype.kind not in "iuf":
        raise BadClip(f"fps must be one number, not {fps.dtype} {fps.shape}")
    return clip.at(float(fps))


def _npz_keypoints(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    keypoints = arrays.get("keypoints")
    if keypoints is None or keypoints.ndim != 3 or keypoints.dtype.kind not in "iuf":
        found = "there is none" if keypoints is None else f"it is {keypoints.dtype} {keypoints.shape}"
        raise BadClip(f"the .npz needs an array keypoints (frames, joints, numbers): {found}")
    if not math.prod(keypoints.shape[1:]):  # any number of such frames takes no bytes
        raise BadClip(f"keypoints need joints of numbers in each frame, not {keypoints.shape}")
    return keypoints


def _npz_times(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.float64] | None:
    pts_s = arrays.get("pts_s")
    if pts_s is None:
        return None
    if pts_s.ndim != 1 or pts_s.dtype.kind not in "iuf":
        raise BadClip(f"pts_s must be seconds (frames,), not {pts_s.dtype} {pts_s.shape}")
    return pts_s.astype(np.float64)


def _to_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """What is too large becomes infinite here, and is refused with the frame that it is in."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)
