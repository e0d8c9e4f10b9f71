"""Whole clips, for `Client.score`: what is posted to `/v1/clips`, and the timeline that comes back. No sockets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import from_json, to_json

from inkling.models.problems import first_problem
from inkling.service.client.errors import BadArgument, ClientError, RemoteError
from inkling.service.client.people import TRACK, checked_track
from inkling.service.client.pose_files import gather_folder
from inkling.service.protocol.codec import DecisionMessage, Event
from inkling.service.protocol.track_id import TrackId

Clip = str | Path | ArrayLike | Mapping[int, ArrayLike] | Mapping[str, ArrayLike] | Mapping[TrackId, ArrayLike]
"""A file of poses or a video; a folder of OpenPose's frames; keypoints (T, J, C) of one person, or of several by their
track, NaN where a joint is missing."""

TYPES = {
    ".json": "application/json",
    ".npz": "application/octet-stream",
    ".npy": "application/octet-stream",
    ".csv": "text/csv",
}
"""Of pose files; any other file is sent as a video."""
VIDEO = "video/unknown"


class TimelineEntry(BaseModel):
    """One prediction of a scored clip. for_s: the time that it is of, where the bundle says what comes."""

    model_config = ConfigDict(frozen=True)

    pts_s: float
    track: int | str
    probabilities: list[float]
    epoch: int
    for_s: float | None = None
    unknown: float | None = None
    """How likely it is that what is seen is none of the labels; None: the bundle has no such score."""


class _Answer(BaseModel):
    bundle: str
    version: str
    labels: list[str]
    rate_hz: float
    timeline: list[TimelineEntry]
    unknown_above: float | None = None
    events: list[Event] = []
    decisions: list[DecisionMessage] = []
    warnings: list[str] = []
    lead_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """What `/v1/clips` answers: predictions of all tracks in order of time; `probabilities` follow `labels`.

    decisions: where an error rate was asked for. lead_s: for how many seconds after `pts_s` a prediction is; 0 where it
    is of the moment.
    """

    bundle: str
    version: str
    labels: tuple[str, ...]
    rate_hz: float
    entries: tuple[TimelineEntry, ...]
    warnings: tuple[str, ...]
    raw: Mapping[str, Any]
    """The answer as it came."""
    decisions: tuple[DecisionMessage, ...] = ()
    events: tuple[Event, ...] = ()
    lead_s: float = 0.0
    unknown_above: float | None = None
    """Above this `unknown` of an entry no event begins and nothing is decided."""

    @property
    def tracks(self) -> list[int | str]:
        return sorted({entry.track for entry in self.entries}, key=lambda track: (isinstance(track, str), track))

    def of(self, track: int | str = TRACK) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """`pts_s` (N,) of the frames and probabilities (N, K) of one track; empty when it is not in the clip."""
        rows = [entry for entry in self.entries if entry.track == track]
        probabilities = np.array([row.probabilities for row in rows]).reshape(len(rows), len(self.labels))
        return np.array([row.pts_s for row in rows]), probabilities


def clip_body(clip: Clip, skeleton: str | None, fps: float | None) -> tuple[bytes, str]:
    """Body and content type of the request. Raises ClientError for a file that cannot be read, BadArgument."""
    if isinstance(clip, (str, Path)):
        path = Path(clip)
        if path.is_dir():
            return gather_folder(path), TYPES[".json"]
        try:
            return path.read_bytes(), TYPES.get(path.suffix.lower(), VIDEO)
        except OSError as error:
            raise ClientError(f"{path}: cannot be read: {error.strerror}") from error
    people = clip if isinstance(clip, Mapping) else {TRACK: clip}
    message: dict[str, Any] = {
        "people": [
            {"track": checked_track(track), "keypoints": _rows(keypoints)} for track, keypoints in people.items()
        ]
    }
    message |= {name: value for name, value in (("skeleton", skeleton), ("fps", fps)) if value is not None}
    return to_json(message), TYPES[".json"]


def read_timeline(status: int, body: bytes) -> Timeline:
    """The timeline in an answer. Raises RemoteError with the server's code, or ClientError."""
    try:
        answer = from_json(body)
    except ValueError:
        raise ClientError(f"the server answered {status} without JSON; is it an Inkling server?") from None
    if status != 200:
        raise refusal(status, answer)
    try:
        read = _Answer.model_validate(answer)
    except ValidationError as error:
        raise ClientError(f"the timeline is not one: {first_problem(error)}") from None
    labels, entries, warnings = tuple(read.labels), tuple(read.timeline), tuple(read.warnings)
    about = read.bundle, read.version, labels, read.rate_hz
    told = tuple(read.decisions), tuple(read.events)
    return Timeline(*about, entries, warnings, answer, *told, read.lead_s, read.unknown_above)


def refusal(status: int, answer: object) -> ClientError:
    """What an answer other than 200 says."""
    if isinstance(answer, dict) and isinstance(answer.get("code"), str):
        message, retryable = str(answer.get("message", "")), answer.get("retryable") is True
        return RemoteError(answer["code"], message, retryable)
    return ClientError(f"the server answered {status}: {answer}")


def _rows(keypoints: ArrayLike) -> list[list[list[float] | None]]:
    """(T, J, C) as lists, a joint with a NaN as None. Raises BadArgument for another shape."""
    try:
        array = np.asarray(keypoints, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise BadArgument(f"a person's clip is an array of numbers (frames, joints, numbers): {error}") from None
    if array.ndim != 3:
        raise BadArgument(f"a person's clip is an array (frames, joints, numbers), not {array.shape}")
    missing = np.isnan(array).any(axis=-1)
    rows: list[list[list[float] | None]] = array.tolist()
    for frame, joint in np.argwhere(missing):
        rows[frame][joint] = None
    return rows
