"""One pose file: read it without pickle, check it, and mark its missing joints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.npz import BadNpz, read_npz_file
from inkling.models.skeletons import Skeleton, without_origin
from inkling.training.recipe.sections import Occluded

Array = NDArray[np.float32]
Times = NDArray[np.float64]

LARGEST_COORDINATE = 1e6
"""The service refuses poses beyond it, so training does too."""


def load(path: Path, skeleton: Skeleton, fps: float, occluded: Occluded = "missing") -> tuple[Array, Times]:
    """Keypoints (T, J, D + 1), missing joints all zero, and presentation times (T,) in seconds, never decreasing.

    occluded: as in `inkling.training.data.pose_dataset.read`. Raises FileNotFoundError, or ValueError with a sentence.
    """
    try:
        arrays = read_npz_file(path, ("keypoints", "pts_s", "tracks"))
    except FileNotFoundError:
        raise
    except (OSError, BadNpz) as error:
        raise ValueError(f"cannot be read: {error}") from error
    if "keypoints" not in arrays:
        raise ValueError("has no array 'keypoints'")
    if "tracks" in arrays and len(np.unique(arrays["tracks"])) > 1:
        raise ValueError("has several people (`tracks`); a clip is one: write them with `inkling poses --each`")
    keypoints = arrays["keypoints"]
    poses = _marked(keypoints, skeleton, occluded)
    pts_s = arrays["pts_s"] if "pts_s" in arrays else np.arange(len(poses)) / fps
    if pts_s.shape != (len(poses),) or pts_s.dtype.kind not in "fiu":
        raise ValueError(f"pts_s are {pts_s.dtype} {pts_s.shape}, keypoints have {len(poses)} frames")
    times = pts_s.astype(np.float64)
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        raise ValueError("pts_s must be finite and never decrease")
    return poses, times


def _marked(keypoints: NDArray[Any], skeleton: Skeleton, occluded: Occluded) -> Array:
    """(T, J, D or D + 1) as found in a file -> (T, J, D + 1) with missing joints at zero."""
    joints, dimensions = len(skeleton.joints), skeleton.dimensions
    shape = keypoints.shape
    if keypoints.dtype.kind not in "fiu":
        raise ValueError(f"keypoints are {keypoints.dtype}, not numbers")
    if len(shape) != 3 or shape[1] != joints or shape[2] not in (dimensions, dimensions + 1):
        wanted = f"(T, {joints}, {dimensions}) or (T, {joints}, {dimensions + 1})"
        raise ValueError(f"keypoints have shape {shape}; skeleton {skeleton.name} asks for {wanted}")
    points: NDArray[np.float64] = keypoints[..., :dimensions].astype(np.float64)
    confidence: NDArray[np.float64]
    if shape[2] == dimensions:
        confidence = np.asarray(~np.isnan(points).all(-1), np.float64)
    else:
        confidence = keypoints[..., dimensions].astype(np.float64)
    _refuse(skeleton, ~(np.isfinite(confidence) & (confidence >= 0)), "its confidence must be 0 or more")
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(points).all(-1))
    present = np.asarray(confidence > 0)
    _refuse(skeleton, present & ~finite, "not finite, and not marked as missing")
    far = np.asarray((np.abs(points) > LARGEST_COORDINATE).any(-1))
    _refuse(skeleton, present & far, f"beyond {LARGEST_COORDINATE:g}")
    if occluded == "keep":
        guessed = ~present & finite & ~far & np.asarray((points != 0).any(-1))
        confidence = np.asarray(np.where(guessed, 1.0, confidence))
    poses = np.concatenate([points, confidence[..., None]], -1)
    poses = without_origin(poses, skeleton)
    return np.asarray(np.where(poses[..., -1:] > 0, poses, 0.0), np.float32)


def _refuse(skeleton: Skeleton, wrong: NDArray[np.bool_], what: str) -> None:
    if wrong.any():
        frame, joint = (int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"frame {frame}, joint {skeleton.joints[joint]}: {what}")
