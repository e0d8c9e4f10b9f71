"""A recurrent model has a clock: turn frames at any rate into steps at the bundle's rate.

Pure: time comes in as `pts_s`, nothing is read from a system clock. Training resamples its clips with the same
code as the service (`step_frames`), so a model always sees time the way it was trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

GapPolicy = Literal["hold", "skip"]
ResetReason = Literal["gap", "backward", "requested"]

LATE_IN_A_ROW = 16
"""Late frames that may follow each other. Workers that put frames out of order by up to 8 places give at most 15; after
more of them it is the clock that was set back."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one frame means for the model.

    `steps` 0: the frame is skipped. `steps` n >= 1: repeat the previously stepped frame n - 1 times (ticks that no
    frame came near, policy `hold`), then step this one. `reset`: set the state to its initial value first.
    """

    steps: int
    reset: ResetReason | None = None


_SKIPPED, _STEPPED = Verdict(0), Verdict(1)


class Resampler:
    """Maps the presentation times of one track to ticks of the model's clock, without added latency.

    A tick takes the frame nearest to it. To decide at once whether the next frame will be nearer, the interval to it is
    taken to be the last one.

    A frame that is not after the newest one is late, and is skipped: the model cannot go back. It is a backward jump
    instead when it is late by more than `max_gap_s`, or when the clock stays back: `LATE_IN_A_ROW` frames were late by
    more than a tick, and this is one more, with none between them that was on time.
    """

    __slots__ = ("_last_pts", "_last_tick", "_late", "_late_before", "_origin", "max_gap_s", "policy", "rate_hz")

    def __init__(self, rate_hz: float, policy: GapPolicy = "hold", max_gap_s: float = 1.0) -> None:
        if not 0 < rate_hz < math.inf or not max_gap_s > 0:
            raise ValueError(f"rate_hz and max_gap_s must be positive, rate_hz finite, not {rate_hz} and {max_gap_s}")
        self.rate_hz = rate_hz
        self.policy = policy
        self.max_gap_s = max_gap_s
        self._origin: float | None = None
        self._last_pts = 0.0
        self._last_tick = 0
        self._late = 0  # frames in a row that were late, all of them before this time:
        self._late_before = -math.inf

    def push(self, pts_s: float) -> Verdict:
        """Judge the frame presented at `pts_s` (seconds, finite). Raises ValueError when it is not finite."""
        if not math.isfinite(pts_s):
            raise ValueError(f"pts_s must be finite, not {pts_s}")
        if self._origin is None:
            return self._begin(pts_s, None)
        interval_s = pts_s - self._last_pts
        if interval_s > self.max_gap_s:
            return self._begin(pts_s, "gap")
        if interval_s <= 0:
            return self._judge_late(pts_s, -interval_s)
        reach = min(interval_s * self.rate_hz, 1.0) / 2  # in ticks: half-way to the expected next frame
        tick = math.floor((pts_s - self._origin) * self.rate_hz + reach)
        self._last_pts = pts_s
        missed = tick - self._last_tick - 1
        if missed < 0:
            return _SKIPPED
        self._last_tick = tick
        return _STEPPED if not missed else Verdict(1 + missed if self.policy == "hold" else 1)

    @property
    def tick_s(self) -> float:
        """When the tick of the last step was due, in the time of the frames.

        Frames that follow one clock can be put onto another by it, for they are then whole ticks apart. Raises
        ValueError before the first frame.
        """
        if self._origin is None:
            raise ValueError("no frame has come yet")
        return self._origin + self._last_tick / self.rate_hz

    def restart(self) -> None:
        """Forget the clock: the next frame starts a new one at tick 0 (its verdict carries no reset)."""
        self._origin = None

    def _judge_late(self, pts_s: float, late_s: float) -> Verdict:
        if late_s > self.max_gap_s:
            return self._begin(pts_s, "backward")
        if late_s * self.rate_hz > 1:
            # A frame on time moves `_last_pts`, and so ends the row; it need not know of it, and takes no longer.
            self._late = 1 if self._late_before != self._last_pts else self._late + 1
            self._late_before = self._last_pts
            if self._late > LATE_IN_A_ROW:
                return self._begin(pts_s, "backward")
        return _SKIPPED

    def _begin(self, pts_s: float, reset: ResetReason | None) -> Verdict:
        self._origin = self._last_pts = pts_s
        self._last_tick = self._late = 0
        return Verdict(1, reset)


def step_frames(
    pts_s: Iterable[float], rate_hz: float, policy: GapPolicy = "hold", max_gap_s: float = math.inf
) -> list[int]:
    """Index of the frame that each step of a clip sees, as the service would step it.

    Clips in training are one stretch of time, so by default no gap resets. A frame that would reset (backward jump)
    continues the list: training has no state to reset in the middle of a clip.
    """
    resampler = Resampler(rate_hz, policy, max_gap_s)
    steps: list[int] = []
    for frame, pts in enumerate(pts_s):
        verdict = resampler.push(pts)
        if verdict.steps:
            steps += [*steps[-1:] * (verdict.steps - 1), frame]  # the first frame has nothing to repeat
    return steps
