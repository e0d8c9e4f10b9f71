"""The figure's poses as a pose clip, in a file: sample data for `inkling score`, `inkling stream` and the tutorials."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inkling.service.client.errors import ClientError
from inkling.service.demo.figure import ACTIONS, pose

TURN_S = 6.0
"""Seconds of each action when they take turns."""
FPS = 30.0


def turns(action: str) -> Iterator[tuple[str, float]]:
    """(action, seconds it lasts), endlessly; "cycle": all in turn."""
    while True:
        if action == "cycle":
            yield from ((name, TURN_S) for name in ACTIONS)
        else:
            yield action, float("inf")


def clip(action: str, seconds: float, fps: float = FPS) -> NDArray[np.float32]:
    """Keypoints (T, 17, 3) of COCO-17, T = seconds x fps rounded, at least one: x and y in pixels, and confidence.

    action: one of `ACTIONS`, or "cycle" for all in turn. Raises ClientError when there would be no time to show.
    """
    if not (0 < seconds < float("inf") and 0 < fps < float("inf")):
        raise ClientError(f"a clip needs seconds and frames a second above 0, not {seconds:g} and {fps:g}")
    keypoints: list[NDArray[np.float32]] = []
    began_s = ends_s = 0.0
    program = turns(action)
    for frame in range(max(1, round(seconds * fps))):
        now_s = frame / fps
        if now_s >= ends_s:
            began_s = ends_s
            name, lasts_s = next(program)
            ends_s = began_s + lasts_s
        keypoints.append(pose(name, now_s - began_s))
    return np.stack(keypoints)


def save(path: Path, keypoints: NDArray[np.float32], fps: float = FPS) -> None:
    """Write a pose clip: `.npz` (keypoints, pts_s), or `.json` as `POST /v1/clips` takes it.

    Raises ClientError for another suffix, and where the file cannot be written.
    """
    if path.suffix.lower() not in (".npz", ".json"):
        raise ClientError(f"{path}: a pose clip is a .npz or a .json file")
    try:
        if path.suffix.lower() == ".npz":
            with path.open("wb") as file:
                np.savez_compressed(file, keypoints=keypoints, pts_s=np.arange(len(keypoints)) / fps)
        else:
            people = [{"track": 1, "keypoints": np.round(keypoints.astype(float), 3).tolist()}]
            text = json.dumps({"skeleton": "coco17", "fps": fps, "people": people})
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ClientError(f"{path}: the clip cannot be written: {error.strerror}") from error
