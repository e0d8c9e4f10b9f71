"""Is it worth looking for people in this picture? Only if something moved since the last time. Pure.

    gate = MotionGate(MotionConfig())
    if gate.decide(small_grey_picture, pts_s, tracked=bool(people)).open:
        ...  # find people in the whole picture

So an empty room costs almost nothing. The gate is never closed while somebody is tracked, nor shortly after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_GUESS_S = 0.5
"""The first guess at the noise counts as much as so long a time of pictures."""


class Reason(StrEnum):
    """Why the gate is open or closed."""

    FIRST = "first"
    """Nothing is known yet: the first picture, another size, or a jump in time."""
    TRACKED = "tracked"
    """Somebody is tracked."""
    LINGER = "linger"
    """Somebody was tracked, or something moved, a moment ago."""
    MOTION = "motion"
    """Something moved since the last open gate."""
    DUE = "due"
    """The last open gate is too long ago."""
    STILL = "still"
    """Nothing moved: closed."""


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What the gate says of one picture."""

    reason: Reason

    @property
    def open(self) -> bool:
        """Whether people are to be looked for in the picture."""
        return self.reason is not Reason.STILL


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """When a small picture counts as moved. Times in seconds, grey levels of 0 to 255."""

    floor: float = 4.0
    """A cell has changed if it differs by more than this, however quiet the camera is."""
    times_noise: float = 6.0
    """A cell has changed if it differs by more than this many times its usual noise."""
    most_noise: float = 4.0
    """Of a cell. A screen or a tree in the wind is noise up to here; what changes more is never taken for it."""
    cells: int = 3
    """Something moved if so many cells of a patch of 3 x 3 have changed; 3 is an upright edge that moved by a cell."""
    linger_s: float = 3.0
    """It stays open for so long after somebody was tracked."""
    linger_motion_s: float = 0.25
    """It stays open for so long after something moved."""
    perceive_every_s: float = 10.0
    """It opens at least so often."""
    noise_s: float = 5.0
    """Time constant over which the noise of each cell is learnt."""
    follow_s: float = 5.0
    """Time constant over which slow changes of the light are taken for granted."""

    def __post_init__(self) -> None:
        if not (min(self.perceive_every_s, self.noise_s, self.follow_s) > 0 and self.cells >= 1 and self.floor >= 0):
            raise ValueError("perceive_every_s, noise_s, follow_s and cells must be positive, floor at least 0")


class MotionGate:
    """The gate of one camera. It keeps one picture, and the noise of each of its cells."""

    __slots__ = ("_began_s", "_grid", "_last_s", "_moved_s", "_noise", "_opened_s", "_still", "_tracked_s", "config")

    def __init__(self, config: MotionConfig) -> None:
        self.config = config
        self.reset()

    def reset(self) -> None:
        """Forget the camera: the next picture is the first."""
        self._still: Floats = np.zeros((0, 0), np.float32)  # what is to be seen if nothing moves
        self._noise = self._still
        self._grid = self._still
        self._began_s = self._last_s = self._opened_s = self._moved_s = self._tracked_s = -math.inf

    def decide(self, grey: NDArray[np.uint8], pts_s: float, tracked: bool) -> GateDecision:
        """Judge the picture (h, w) uint8 presented at `pts_s`; tracked: somebody has a track after the last open gate.

        Raises ValueError when `pts_s` is not finite, or the picture is none.
        """
        if not math.isfinite(pts_s):
            raise ValueError(f"pts_s must be finite, not {pts_s}")
        if grey.ndim != 2 or not grey.size:
            raise ValueError(f"a grey picture has the shape (h, w), not {grey.shape}")
        picture = grey.astype(np.float32)
        if picture.shape != self._still.shape or not 0 <= pts_s - self._last_s <= self.config.perceive_every_s:
            self._begin(picture, pts_s)
            reason = Reason.FIRST
        else:
            reason = self._judge(picture, pts_s, tracked)
        self._last_s = pts_s
        if tracked:
            self._tracked_s = pts_s
        if reason in (Reason.FIRST, Reason.MOTION):
            self._moved_s = pts_s
        if reason is not Reason.STILL:
            self._still, self._opened_s = picture, pts_s
        return GateDecision(reason)

    def _begin(self, picture: Floats, pts_s: float) -> None:
        """The first picture of a camera: nothing is known of it."""
        self._began_s = pts_s
        self._tracked_s = -math.inf
        self._noise = np.full(picture.shape, self.config.floor / self.config.times_noise, np.float32)
        self._grid = _grid(picture.shape)

    def _judge(self, picture: Floats, pts_s: float, tracked: bool) -> Reason:
        config = self.config
        if tracked:
            return Reason.TRACKED
        if pts_s - self._tracked_s <= config.linger_s:
            return Reason.LINGER
        expected = self._in_the_light_of(picture)
        differs = np.abs(picture - expected)
        moved = self._moved(differs)
        passed_s = pts_s - self._last_s
        # An average over noise_s, or over as long as the camera is known: the noise of a new one is learnt at once.
        known_s = pts_s - self._began_s + _GUESS_S
        share = math.expm1(-passed_s / config.noise_s) / math.expm1(-max(known_s, passed_s) / config.noise_s)
        self._noise += np.float32(share) * (np.minimum(differs, config.most_noise) - self._noise)
        if moved:
            return Reason.MOTION
        if pts_s - self._moved_s <= config.linger_motion_s:
            return Reason.LINGER
        if pts_s - self._opened_s >= config.perceive_every_s:
            return Reason.DUE
        self._still = self._still + np.float32(-math.expm1(-passed_s / config.follow_s)) * (picture - self._still)
        return Reason.STILL

    def _moved(self, differs: Floats) -> bool:
        """Whether enough cells have changed that lie together; a patch is cut at the edges of the picture."""
        changed = differs > np.maximum(self.config.floor, self.config.times_noise * self._noise)
        if np.count_nonzero(changed) < self.config.cells:
            return False
        patches = np.pad(changed.astype(np.int8), 1)
        patches = patches[:-2] + patches[1:-1] + patches[2:]
        return bool((patches[:, :-2] + patches[:, 1:-1] + patches[:, 2:]).max() >= self.config.cells)

    def _in_the_light_of(self, picture: Floats) -> Floats:
        """The still picture as it would be in this picture's light and exposure: what is to be seen if nothing moves.

        Least squares over a gain and an offset that may change evenly across the picture. What moves is small, or is
        not explained by these six numbers.
        """
        shape = self._still.reshape(-1, 1) * (self._grid / 128)
        basis = np.concatenate([self._grid, shape], 1)
        normal = basis.T @ basis
        normal[np.diag_indices(6)] += 1e-3 * len(basis)
        change = (picture - self._still).ravel()
        fit = np.linalg.solve(normal, basis.T @ change)
        expected: Floats = self._still + (basis @ fit).reshape(picture.shape)
        return expected


def _grid(shape: tuple[int, ...]) -> Floats:
    """(h w, 3): 1, and where a cell is, -1 to 1 from top to bottom and from left to right."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, size, dtype=np.float32) for size in shape), indexing="ij")
    return np.stack([np.ones_like(rows), rows, columns], 2).reshape(-1, 3)
