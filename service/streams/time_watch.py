"""Times that cannot be right, said in a sentence: milliseconds as seconds, too few frames, a clock that stands still.

Pure. It is asked only about frames that reset a track, and about every hundredth that is skipped: a stream whose
frames are stepped pays nothing for it.
"""

from __future__ import annotations

from inkling.service.protocol.errors import BadTime

RESETS_IN_A_ROW = 5
"""Frames in a row, each further from the one before it than the gap limit, that are no accident."""
SKIPPED_IN_A_TICK = 100
"""Frames within one tick of the model's clock that no camera makes."""
SAY_AGAIN_S = 60.0
"""Seconds of the server's time after which it is said again."""
_UNITS = (("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9))
_FRAME_S = (0.004, 1.0)
"""From one frame to the next, as cameras have it."""
_SLOW_S = 4.0
"""Frames so far apart may be seconds that are something else; closer ones are just few."""


class TimeWatch:
    """The times of one stream. Frames are counted as they come, from 0 or any other number on."""

    __slots__ = ("_checked", "_first_s", "_frame", "_last_s", "_max_gap_s", "_rate_hz", "_row", "_said_s", "_upward")

    def __init__(self, rate_hz: float, max_gap_s: float) -> None:
        self._rate_hz = rate_hz
        self._max_gap_s = max_gap_s
        self._frame = -1  # the last one that reset
        self._first_s = self._last_s = 0.0
        self._row = 0  # intervals in a row that were too long
        self._upward = True  # all of them
        self._checked = (-1, 0.0)  # number and time of the last frame that `skipped` was asked about
        self._said_s: float | None = None

    def reset(self, frame: int, pts_s: float, now_s: float) -> BadTime | None:
        """Frame number `frame` reset a track for its time. Returns what is to be said, if it is time to say it."""
        if frame == self._frame:  # another person of it
            return None
        interval_s = pts_s - self._last_s
        if frame == self._frame + 1 and abs(interval_s) > self._max_gap_s:
            self._row += 1
            self._upward = self._upward and interval_s > 0
        else:  # a gap like any other, or one person's
            self._row = 0
            self._upward = True
            self._first_s = pts_s
        self._frame, self._last_s = frame, pts_s
        if self._row < RESETS_IN_A_ROW - 1 or not self._may_speak(now_s):
            return None
        return BadTime(self._apart((pts_s - self._first_s) / self._row) if self._upward else self._to_and_fro())

    def skipped(self, frame: int, pts_s: float, now_s: float) -> BadTime | None:
        """Frame number `frame`, a multiple of `SKIPPED_IN_A_TICK`, was not stepped. Returns as `reset` does."""
        before, before_s = self._checked
        self._checked = frame, pts_s
        hardly = frame - before == SKIPPED_IN_A_TICK and 0 <= pts_s - before_s < 1 / self._rate_hz
        if not hardly or not self._may_speak(now_s):
            return None
        how = "stand still" if pts_s == before_s else f"move on by {pts_s - before_s:.2g} s"
        return BadTime(
            f"the times of {SKIPPED_IN_A_TICK} frames {how}: pts_s are the seconds at which each frame was seen; "
            "without them frames are timed by their arrival"
        )

    def _may_speak(self, now_s: float) -> bool:
        if self._said_s is not None and now_s - self._said_s < SAY_AGAIN_S:
            return False
        self._said_s = now_s
        return True

    def _apart(self, interval_s: float) -> str:
        needs = f"this bundle needs more than {1 / self._max_gap_s:.3g} a second, best {self._rate_hz:g} or more"
        if interval_s < _SLOW_S:
            return f"{1 / interval_s:.2g} frames a second are too few, every one resets the state: {needs}"
        likely = [unit for unit, share in _UNITS if _FRAME_S[0] <= interval_s / share <= _FRAME_S[1]]
        looks = f", and these look like {likely[0]}" if likely else ""
        far = f"{interval_s:,.0f}" if interval_s < 1e6 else f"{interval_s:.2g}"
        return f"frames are {far} s apart, every one resets the state: pts_s are seconds{looks}; {needs}"

    def _to_and_fro(self) -> str:
        return (
            f"the times of frames jump back by more than {self._max_gap_s:g} s again and again, each time the state is "
            "reset: send frames in their order, and those of each camera in a stream of their own"
        )
