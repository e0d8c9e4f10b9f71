"""A source's own time: one line through reconnections, loops and cameras whose clocks jump. Pure.

A camera's presentation times begin anew with each connection and drift against ours; the stream's must not. So each
connection is anchored where it begins, and follows the camera's clock from there, which knows the distance between two
frames better than their arrival does.
"""

from __future__ import annotations

import math

DRIFT_S = 2.0
"""A live camera's clock may be so far from the arrival of its frames; beyond that, time is anchored again."""
LEAST_S = 1e-3
"""A frame follows the one before it by so much at least, after an anchor."""
USUAL_S = 1 / 25
"""From the last frame of a loop to the first one of the next, while the interval is not known."""


class SourceClock:
    """Stamps the frames of one source. live: arrival counts; a file's frames come when they come."""

    __slots__ = ("_anchor", "_interval_s", "_last_s", "_live", "_opened_s")

    def __init__(self, live: bool, opened_s: float) -> None:
        """opened_s: what arrival times count from."""
        self._live = live
        self._opened_s = opened_s
        self._anchor: float | None = None  # the stream's time less the media's
        self._last_s: float | None = None
        self._interval_s = USUAL_S

    def begin(self) -> None:
        """A connection, or a loop of a file, begins: its clock has nothing to do with the last one's."""
        self._anchor = None

    def stamp(self, media_s: float | None, arrived_s: float) -> float:
        """`pts_s` (0 or more) of a frame with the presentation time `media_s` (None: it has none), seconds.

        Live: never before the frame before it. File: as the file says, also backward; the session knows what to do.
        """
        arrival_s = max(arrived_s - self._opened_s, 0.0)
        if media_s is None or not math.isfinite(media_s):
            return self._keep(max(arrival_s, self._next(LEAST_S)) if self._live else self._next(self._interval_s))
        if self._anchor is None:
            start_s = max(arrival_s, self._next(LEAST_S)) if self._live else self._next(self._interval_s)
            self._anchor = start_s - media_s
            return self._keep(start_s)
        pts_s = self._anchor + media_s
        if self._live and (abs(pts_s - arrival_s) > DRIFT_S or pts_s < (self._last_s or 0.0)):
            self._anchor = None
            return self.stamp(media_s, arrived_s)
        return self._keep(max(pts_s, 0.0))

    def _next(self, interval_s: float) -> float:
        return 0.0 if self._last_s is None else self._last_s + interval_s

    def _keep(self, pts_s: float) -> float:
        if self._last_s is not None and 0 < pts_s - self._last_s < 1:
            self._interval_s = pts_s - self._last_s
        self._last_s = pts_s
        return pts_s
