"""A whole clip of poses as arrays, and as the frames of a stream. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
