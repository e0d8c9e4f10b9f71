"""A whole clip of poses as arrays, and as the frames of a stream. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from inkling.service.protocol.errors import BadClip, ServiceError
from inkling.service.protocol.pose_binary import PackedPose, checked_pose
from inkling.service.protocol.track_id import TrackId


@dataclass(frozen=True, slots=True, eq=False)
class PoseClip:
    """A clip as arrays.

    pts_s: float64 (T,), or None when the clip does not say. people: by track, float32 (T, J, C), NaN where a joint is
    missing. present: by track, bool (T,), whether the person is in the frame at all.
    warnings: what was left out, a sentence each.
    """

    people: Mapping[TrackId, NDArray[np.float32]]
    present: Mapping[TrackId, NDArray[np.bool_]]
    pts_s: NDArray[np.float64] | None = None
    skeleton: str | None = None
    width: int | None = None
    height: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        return max(map(len, self.people.values()), default=0)

    @property
    def bytes(self) -> int:
        """Of its poses."""
        return sum(array.nbytes for array in self.people.values())

    def at(self, fps: float | None) -> PoseClip:
        """The same clip at `fps` frames a second, unless that is None. Raises BadClip when it then has no times."""
        if fps is not None:
            return replace(self, pts_s=_times(self.frames, fps))
        if self.pts_s is None:
            raise BadClip("the clip does not say when its frames are; send fps or pts_s")
        return self

    def messages(self) -> Iterator[PackedPose]:
        """The clip as the frames of a stream. Raises BadClip for a frame that no stream would take."""
        if self.pts_s is None:
            raise BadClip("the clip does not say when its frames are")
        for frame, pts_s in enumerate(self.pts_s.tolist()):
            tracks = [track for track, there in self.present.items() if there[frame]]
            yield _message(frame, pts_s, tracks, np.array([self.people[track][frame] for track in tracks]))


@dataclass(frozen=True, slots=True, eq=False)
class TrackedClip:
    """A clip as rows, one for each person in each frame, in the order of time: people come and go, and what is not
    there takes no room.

    keypoints: float32 (N, J, C), NaN where a joint is missing. tracks: int64 (N,). times: float64 (N,), never falling;
    rows of one time are one frame. pts_s: of each frame, if not those.
    """

    keypoints: NDArray[np.float32]
    tracks: NDArray[np.int64]
    times: NDArray[np.float64]
    skeleton: str | None = None
    width: int | None = None
    height: int | None = None
    pts_s: NDArray[np.float64] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def bytes(self) -> int:
        """Of its rows."""
        return self.keypoints.nbytes + self.tracks.nbytes + self.times.nbytes

    @property
    def starts(self) -> NDArray[np.intp]:
        """The first row of each frame."""
        return np.flatnonzero(np.diff(self.times, prepend=-np.inf))

    @property
    def frames(self) -> int:
        return len(self.starts)

    def at(self, fps: float | None) -> TrackedClip:
        """As `PoseClip.at`."""
        return self if fps is None else replace(self, pts_s=_times(self.frames, fps))

    def messages(self) -> Iterator[PackedPose]:
        """As `PoseClip.messages`."""
        starts = self.starts
        times = self.times[starts] if self.pts_s is None else self.pts_s
        ends = [*starts[1:].tolist(), len(self.times)]
        for frame, (start, end, pts_s) in enumerate(zip(starts.tolist(), ends, times.tolist(), strict=True)):
            yield _message(frame, pts_s, self.tracks[start:end].tolist(), self.keypoints[start:end])


def _times(frames: int, fps: float) -> NDArray[np.float64]:
    if not 0 < fps <= 1e4:
        raise BadClip(f"fps must be above 0 and at most 10000, not {fps:g}")
    return np.arange(frames) / fps


def _message(frame: int, pts_s: float, tracks: Sequence[TrackId], rows: NDArray[np.float32]) -> PackedPose:
    """One frame of a stream. rows: (P, J, C), NaN where a joint is missing. Raises BadClip."""
    missing: NDArray[np.bool_] = np.asarray(np.isnan(rows).any(axis=-1)) if len(rows) else np.zeros((0, 0), np.bool_)
    try:
        poses = np.where(missing[..., None], 0, rows) if len(rows) else np.zeros((0, 0, 0))
        message = checked_pose(frame, pts_s, list(tracks), poses)
    except ServiceError as error:
        raise BadClip(f"frame {frame}: {error}") from None
    message.keypoints[missing] = np.nan
    return message
