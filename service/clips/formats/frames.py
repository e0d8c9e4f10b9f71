"""Frames of joints as they come out of a text, gathered into arrays, within bounds. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.service.protocol.errors import BadClip, TooLarge
from inkling.service.protocol.pose_binary import MAX_NUMBERS
from inkling.service.protocol.pose_message import MAX_JOINTS
from inkling.service.protocol.track_id import TrackId

BATCH = 64
"""Frames that are made an array of in one go."""


@dataclass(slots=True)
class Bounds:
    """What a clip may still take. numbers: in all arrays together. frames: of each person."""

    frames: int
    numbers: int

    def take(self, numbers: int) -> None:
        """Raises TooLarge."""
        self.numbers -= numbers
        if self.numbers < 0:
            raise TooLarge("the clip unpacks to more numbers than this server takes")


class PersonFrames:
    """One person's frames, in order: (T, J, C) with NaN in place of null. where: what to call the person."""

    def __init__(self, bounds: Bounds, where: str) -> None:
        self._bounds = bounds
        self._where = where
        self._shape: tuple[int, int] | None = None  # joints, numbers
        self._unseen = 0  # joints of a frame whose joints are all missing
        self._waiting: list[Any] = []
        self._parts: list[NDArray[np.float32]] = []
        self._present: list[bool] = []

    def add(self, frame: Any) -> None:
        """A list of joints, each a list of numbers or null; null: not there. Raises BadClip, TooLarge."""
        if len(self._present) >= self._bounds.frames:
            raise TooLarge(f"the clip has more than {self._bounds.frames} frames, which this server takes at most")
        self._present.append(frame is not None)
        self._waiting.append(frame)
        if frame is not None and self._shape is None:
            self._begin(frame)
        if self._shape is not None and len(self._waiting) >= BATCH:
            self._pack()

    def finish(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The frames, and which have the person in them. Raises BadClip."""
        if self._shape is None and self._unseen:
            self._shape = self._unseen, 1
        if self._shape is None:
            raise BadClip(
                f"{self._where}: keypoints are frames of joints of numbers, and at least one frame must have joints"
            )
        self._pack()
        return np.concatenate(self._parts), np.array(self._present, np.bool_)

    def _begin(self, frame: Any) -> None:
        if type(frame) is not list or not frame:
            raise BadClip(
                f"{self._where}: keypoints are frames of joints of numbers, and at least one frame must have joints"
            )
        if len(frame) > MAX_JOINTS:
            raise BadClip(f"{self._where}: a frame of {len(frame)} joints; skeletons have at most {MAX_JOINTS}")
        joint = next((joint for joint in frame if type(joint) is list), None)
        if joint is None:
            if all(joint is None for joint in frame):
                self._unseen = len(frame)
                return  # how many numbers a joint has is not known yet
            raise BadClip(f"{self._where}: keypoints are frames of joints of numbers")
        if len(joint) > MAX_NUMBERS:
            raise BadClip(f"{self._where}: a joint is at most {MAX_NUMBERS} numbers, not {len(joint)}")
        self._shape = len(frame), len(joint)

    def _pack(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting or self._shape is None:
            return
        joints, numbers = self._shape
        while len(waiting) > BATCH:  # nulls before the first frame
            self._parts.append(self._array(waiting[:BATCH], joints, numbers))
            waiting = waiting[BATCH:]
        self._parts.append(self._array(waiting, joints, numbers))

    def _array(self, frames: Sequence[Any], joints: int, numbers: int) -> NDArray[np.float32]:
        self._bounds.take(len(frames) * joints * numbers)
        nothing = [math.nan] * numbers
        nobody = [nothing] * joints
        try:
            array = np.array(
                [nobody if frame is None else [nothing if j is None else j for j in frame] for frame in frames]
            )
        except (TypeError, ValueError, OverflowError):
            array = np.empty(0)
        if array.shape != (len(frames), joints, numbers):
            raise BadClip(f"{self._where}: every frame must have equally many joints of equally many numbers")
        if array.dtype.kind not in "iuf":
            raise BadClip(f"{self._where}: keypoints are frames of joints of numbers")
        return to_float32(array)


@dataclass(slots=True)
class _Seen:
    frame: int
    joints: NDArray[np.float32]


class ScatteredFrames:
    """People of frames in any order, as lists of detections give them."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._people: dict[TrackId, list[_Seen]] = {}
        self._shape: tuple[int, ...] = ()

    def add(self, frame: int, track: TrackId, joints: Sequence[Any]) -> None:
        """joints: (J, C) numbers. Raises BadClip, TooLarge."""
        if frame >= self._bounds.frames:
            raise TooLarge(f"the clip has more than {self._bounds.frames} frames, which this server takes at most")
        try:
            array = np.array(joints, np.float64)
        except (TypeError, ValueError, OverflowError):
            array = np.empty(0)
        if array.ndim != 2 or not 0 < len(array) <= MAX_JOINTS or not 2 <= array.shape[1] <= MAX_NUMBERS:
            raise BadClip(f"frame {frame}: a person is a list of joints, each of 2 to {MAX_NUMBERS} numbers")
        self._shape = self._shape or array.shape
        if array.shape != self._shape:
            raise BadClip(f"frame {frame}: {array.shape[0]} joints of {array.shape[1]} numbers, not {self._shape}")
        self._bounds.take(array.size)
        self._people.setdefault(track, []).append(_Seen(frame, to_float32(array)))

    def finish(self, frames: int) -> tuple[Mapping[TrackId, NDArray[np.float32]], Mapping[TrackId, NDArray[np.bool_]]]:
        """Everybody's (frames, J, C) and presence. Raises BadClip when nobody is there, TooLarge."""
        if not self._people:
            raise BadClip("there is nobody in this clip")
        self._bounds.take(len(self._people) * frames * math.prod(self._shape))
        people: dict[TrackId, NDArray[np.float32]] = {}
        present: dict[TrackId, NDArray[np.bool_]] = {}
        for track, seen in self._people.items():
            people[track] = np.full((frames, *self._shape), np.nan, np.float32)
            present[track] = np.zeros(frames, np.bool_)
            for one in seen:
                people[track][one.frame] = one.joints
                present[track][one.frame] = True
        return people, present


def to_float32(array: NDArray[Any]) -> NDArray[np.float32]:
    """What is too large becomes infinite here, and is refused with the frame that it is in."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32)
