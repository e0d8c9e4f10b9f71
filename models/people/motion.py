"""Is it worth looking for people in this picture? Only if something moved since the last look. Pure.

    gate = MotionGate(MotionConfig())
    if gate.sees(small_grey_picture, pts_s, tracked=bool(people)).look:
        ...  # find people in the whole picture

An empty room costs almost nothing so. A look is never refused while somebody is tracked, nor shortly after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Reason(StrEnum):
    """Why a picture is looked at, or not."""

    FIRST = "first"
    """Nothing is known yet: the first picture, another size, or a jump in time."""
    TRACKED = "tracked"
    """Somebody is tracked."""
    LINGER = "linger"
    """Somebody was tracked, or something moved, a moment ago."""
    MOTION = "motion"
    """Something moved since the last look."""
    DUE = "due"
    """The last look is too long ago."""
    STILL = "still"
    """Nothing moved: no look."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What the gate says of one picture."""

    reason: Reason

    @property
    def look(self) -> bool:
        """Whether people are to be looked for in the picture."""
        return self.reason is not Reason.STILL


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """When a small picture counts as moved. Times in seconds, grey levels of 0 to 255."""

    floor: float = 4.0
    """A cell has changed if it differs by more than this, however quiet the camera is."""
    times_noise: float = 5.0
    """A cell has changed if it differs by more than this many times its usual noise."""
    cells: int = 3
    """Something moved if so many cells of a 3 x 3 patch have changed."""
    linger_s: float = 3.0
    """Looks go on for so long after somebody was tracked."""
    linger_motion_s: float = 0.5
    """Looks go on for so long after something moved."""
    look_every_s: float = 10.0
    """There is a look at least so often."""
    noise_s: float = 5.0
    """Time constant over which noise is learnt."""


class MotionGate:
    """The gate of one camera. It keeps two pictures and a picture of the noise."""

    __slots__ = ("_last", "_last_s", "_looked", "_looked_s", "_moved_s", "_noise", "_tracked_s", "config")

    def __init__(self, config: MotionConfig) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Forget the camera: the next picture is the first."""
        self._looked: Floats = np.zeros((0, 0), np.float32)  # the picture of the last look
        self._last = self._looked  # the picture before this one
        self._noise = self._looked  # usual difference of two pictures in a row
        self._last_s = self._looked_s = self._moved_s = self._tracked_s = -math.inf

    def sees(self, grey: NDArray[np.uint8], pts_s: float, tracked: bool) -> Glance:
        """Judge the picture (h, w) uint8 presented at `pts_s`; tracked: somebody has a track after the last look.

        Raises ValueError when `pts_s` is not finite.
        """
        if not math.isfinite(pts_s):
            raise ValueError(f"pts_s must be finite, not {pts_s}")
        if tracked:
            self._tracked_s = pts_s
        reason = self._judge(grey.astype(np.float32), pts_s)
        if reason is not Reason.STILL:
            self._looked, self._looked_s = self._last, pts_s
        return Glance(reason)

    def _judge(self, picture: Floats, pts_s: float) -> Reason:
        config = self.config
        before, before_s = self._last, self._last_s
        self._last, self._last_s = picture, pts_s
        if before.shape != picture.shape or not 0 <= pts_s - before_s <= config.look_every_s:
            self._noise = np.full(picture.shape, config.floor / config.times_noise, np.float32)
            self._moved_s = pts_s
            return Reason.FIRST
        moved = self._moved(picture)
        if moved:
            self._moved_s = pts_s
        elif pts_s - self._tracked_s > config.linger_s:
            self._learn(picture, before, pts_s - before_s)
        if pts_s == self._tracked_s:
            return Reason.TRACKED
        if moved:
            return Reason.MOTION
        if pts_s - self._tracked_s <= config.linger_s or pts_s - self._moved_s <= config.linger_motion_s:
            return Reason.LINGER
        return Reason.DUE if pts_s - self._looked_s >= config.look_every_s else Reason.STILL

    def _moved(self, picture: Floats) -> bool:
        changed = np.abs(_without_light(picture - self._looked)) > np.maximum(
            self.config.floor, self.config.times_noise * self._noise
        )
        if np.count_nonzero(changed) < self.config.cells:
            return False
        rows = np.pad(changed.astype(np.int8), 1)
        rows = rows[:-2] + rows[1:-1] + rows[2:]
        return bool((rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]).max() >= self.config.cells)

    def _learn(self, picture: Floats, before: Floats, passed_s: float) -> None:
        share = -math.expm1(-passed_s / self.config.noise_s)
        self._noise += share * (np.abs(_without_light(picture - before)) - self._noise)


def _without_light(difference: Floats) -> Floats:
    """The difference of two pictures without what changed everywhere: light, and the camera's exposure."""
    return difference - np.median(difference)
