"""numpy's files: `.npz` of the data set format, and `.npy` with the keypoints alone.

`.npz`: `keypoints (T, J, D[+1])`, optional `pts_s (T,)`, `fps` and `skeleton`; one person, track 0; NaN where a joint
is missing. With `tracks (N,)` of several people: `keypoints (N, J, D[+1])` and `pts_s (N,)`, a row for each person in
each frame; `width` and `height` are of their picture. Never unpickled; sizes are checked before anything is unpacked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.npz import BadNpz, NpzTooLarge, read_npy, read_npz
from inkling.service.clips.formats.frames import to_float32
from inkling.service.clips.formats.json_reader import Body
from inkling.service.clips.pose_arrays import PoseClip, TrackedClip
from inkling.service.protocol.errors import BadClip, TooLarge

_ARRAYS = ("keypoints", "pts_s", "fps", "skeleton", "tracks", "width", "height")


def read_npz_clip(body: Body, max_bytes: int) -> PoseClip | TrackedClip:
    """The clip in the bytes of a file. Raises BadClip, TooLarge."""
    return _clip(lambda: read_npz(bytes(body), _ARRAYS, max_bytes), ".npz", max_bytes)


def _clip(read: Callable[[], Mapping[str, NDArray[Any]]], suffix: str, max_bytes: int) -> PoseClip | TrackedClip:
    try:
        arrays = read()
    except NpzTooLarge:
        raise TooLarge(f"the clip unpacks to more than {max_bytes} bytes") from None
    except BadNpz as error:
        raise BadClip(f"the {suffix} cannot be read: {error}") from None
    keypoints, pts_s, skeleton = _npz_keypoints(arrays), _npz_times(arrays), arrays.get("skeleton")
    if (tracks := arrays.get("tracks")) is not None:
        size = _whole(arrays, "width"), _whole(arrays, "height")
        return _tracked(to_float32(keypoints), tracks, pts_s, None if skeleton is None else str(skeleton), size)
    clip = PoseClip(
        {0: to_float32(keypoints)},
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


def _tracked(
    keypoints: NDArray[np.float32],
    tracks: NDArray[Any],
    times: NDArray[np.float64] | None,
    skeleton: str | None,
    size: tuple[int | None, int | None],
) -> TrackedClip:
    """Raises BadClip."""
    if tracks.shape != keypoints.shape[:1] or tracks.dtype.kind not in "iu":
        raise BadClip(f"tracks must be whole numbers (rows,), not {tracks.dtype} {tracks.shape}")
    if ((tracks < 0) | (tracks >= 2**31)).any():
        raise BadClip("tracks are whole numbers from 0 to 2^31 - 1")
    if times is None or times.shape != tracks.shape:
        raise BadClip("with tracks each row of keypoints needs its time in pts_s")
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise BadClip("pts_s of tracked people must never fall: a row for each person in each frame, in order")
    return TrackedClip(keypoints, tracks.astype(np.int64), times, skeleton, *size)


def _whole(arrays: Mapping[str, NDArray[Any]], name: str) -> int | None:
    number = arrays.get(name)
    if number is None:
        return None
    if number.shape != () or number.dtype.kind not in "iu" or not 0 < int(number) < 2**31:
        raise BadClip(f"{name} must be one whole number of pixels, not {number.dtype} {number.shape}")
    return int(number)


def read_npy_clip(body: Body, max_bytes: int) -> PoseClip | TrackedClip:
    """Keypoints as `numpy.save` wrote them. Raises BadClip, TooLarge."""
    return _clip(lambda: {"keypoints": read_npy(bytes(body), "keypoints", max_bytes)}, ".npy", max_bytes)
