"""A source's own time: one line through reconnections, loops and cameras whose clocks jump or run wrong. Pure.

A camera's presentation times begin anew with each connection, and know the distance between two frames better than
their arrival does, which the network and large key frames delay. But they drift, jump, stand still, or run at another
rate than time does. So a live source follows them for as long as they agree with the arrival of its frames, and is
held near arrival whatever they say.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

SLACK_S = 0.6
"""Frames come unevenly by less than this: cameras pause for 0.4 to 0.5 s around key frames."""
TRUSTED_S = 2.0
"""So far from arrival a clock may be that has proved right: the network is late, not the camera."""
WINDOW_S = 10.0
"""Seconds over which media time and arrival are compared."""
PIECE_S = 0.25
"""Frames that come within it are compared as one."""
_LEAST_PIECES = 4
CONFIRM_S = 1.0
"""Seconds for which they must disagree; frames that a network held back come in less."""
CLOSE_IN = 0.25
"""Share of the time between two frames by which time may run faster or slower, to come near arrival."""
LEAST_S = 1e-3
"""A frame without a time follows the one before it by so much at least."""
USUAL_S = 1 / 25
"""From the last frame of a loop to the first one of the next, while the interval is not known."""


class SourceClock:
    """Stamps the frames of one source. live: arrival counts; a file's frames come when they come.

    Live, whatever the media times are: the result never decreases; it is never further than `TRUSTED_S` from arrival;
    and from one frame to the next it moves by no more than 1.25 times the time between their arrivals, `SLACK_S`, or
    1.5 times the usual interval, whichever is most. So where frames are 0.2 s apart or closer and come up to half a
    second late, no two of them are ever a second apart.

    A clock that stands still, or runs at 0.88 of the right rate and less, or 1.12 and more, is noticed within
    `WINDOW_S` and `CONFIRM_S`; frames are then timed by their arrival, evenly, and `warning` says so for as long as it
    lasts. The result is within `SLACK_S` of arrival then, at the latest 20 s after the clock went wrong; before a clock
    has proved right for `WINDOW_S` it is so from the start.
    """

    __slots__ = ("_arrived_s", "_band_s", "_comparison", "_interval_s", "_last_s", "_live", "_media_s", "_opened_s")

    def __init__(self, live: bool, opened_s: float) -> None:
        """opened_s: what arrival times count from."""
        self._live = live
        self._opened_s = opened_s
        self._media_s: float | None = None  # of the last frame on this connection
        self._arrived_s = 0.0
        self._last_s: float | None = None
        self._interval_s = USUAL_S
        self._band_s = SLACK_S
        self._comparison = ClockComparison()

    @property
    def warning(self) -> str | None:
        """What is wrong with the camera's clock now; None: nothing, or nothing yet."""
        rate = self._comparison.wrong_rate
        if rate is None:
            return None
        how = "stands still" if rate < 0.1 else f"runs at {rate:.2g} times the right rate"
        return f"the camera's clock {how}: frames are timed by their arrival"

    def begin(self) -> None:
        """A connection, or a loop of a file, begins: its clock has nothing to do with the last one's."""
        self._media_s = None
        self._comparison = ClockComparison()
        self._band_s = SLACK_S

    def stamp(self, media_s: float | None, arrived_s: float) -> float:
        """`pts_s` (0 or more) of a frame with the presentation time `media_s` (None: it has none), seconds.

        Live: never before the frame before it. File: as the file says, also backward; the session knows what to do.
        """
        if media_s is not None and not math.isfinite(media_s):
            media_s = None
        return self._stamp_live(media_s, arrived_s) if self._live else self._stamp_file(media_s)

    def _stamp_file(self, media_s: float | None) -> float:
        last_s = self._last_s
        if media_s is None or self._media_s is None or last_s is None:
            pts_s = 0.0 if last_s is None else last_s + self._interval_s
        else:
            pts_s = max(last_s + media_s - self._media_s, 0.0)
        if media_s is not None:
            self._media_s = media_s
        if last_s is not None and 0 < pts_s - last_s < 1:
            self._interval_s = pts_s - last_s
        self._last_s = pts_s
        return pts_s

    def _stamp_live(self, media_s: float | None, arrived_s: float) -> float:
        arrival_s = max(arrived_s - self._opened_s, self._arrived_s)
        passed_s = arrival_s - self._arrived_s
        last_s, before_s = self._last_s, self._media_s
        self._arrived_s = arrival_s
        if media_s is not None:
            self._media_s = media_s
        if last_s is None:
            self._last_s = arrival_s
        elif before_s is None:  # without a clock, or the first one of a connection
            self._last_s = max(arrival_s, last_s + LEAST_S)
        else:
            moved_s = passed_s if media_s is None else media_s - before_s
            interval_s = self._comparison.push(moved_s, passed_s, arrival_s)
            self._adapt_band(passed_s)
            pts_s = min(max(last_s + interval_s, arrival_s - self._band_s), arrival_s + self._band_s)
            self._last_s = max(pts_s, last_s)
        return self._last_s

    def _adapt_band(self, passed_s: float) -> None:
        """Widen it at once for a clock that has proved right; narrow it slowly, so that time does not jump."""
        if self._comparison.proved:
            self._band_s = TRUSTED_S
        elif self._comparison.wrong_rate is not None:
            self._band_s = max(self._band_s - CLOSE_IN * min(passed_s, 0.2), SLACK_S)


class ClockComparison:
    """Media time against arrival, over the last `WINDOW_S` of one connection.

    What is compared is how far arrival is behind media time at best, in the newest and in the oldest quarter: delays
    come and go and do not count, a wrong rate shows in all frames. proved: it agreed over a whole window. wrong_rate:
    of media time, while it disagrees.
    """

    __slots__ = ("_frames", "_offset_s", "_pieces", "_since_s", "proved", "wrong_rate")

    def __init__(self) -> None:
        self.proved = False
        self.wrong_rate: float | None = None
        self._offset_s = 0.0  # arrival less media time, from the first frame on
        self._pieces: deque[_Piece] = deque()
        self._frames = 0  # in all pieces
        self._since_s: float | None = None  # since when it has been otherwise than `wrong_rate` says

    def push(self, moved_s: float, passed_s: float, arrival_s: float) -> float:
        """A frame, so much after the one before it by media time and by arrival. Returns what to take as its interval,
        seconds, 0 or more."""
        pieces = self._pieces
        usual_s = (arrival_s - pieces[0].begin_s) / self._frames if pieces else 0.0
        # Both bounds: a jump is no rate. Backward too, or a clock's jitter would count with its forward half only.
        possible_s = min(max(moved_s, -SLACK_S / 2), max(passed_s, SLACK_S, 1.5 * usual_s))
        self._offset_s += passed_s - possible_s
        if not pieces or arrival_s >= pieces[-1].begin_s + PIECE_S:
            while pieces and pieces[0].begin_s < arrival_s - WINDOW_S:
                self._frames -= pieces.popleft().frames
            if len(pieces) >= _LEAST_PIECES:
                self._judge(arrival_s)
            pieces.append(_Piece(arrival_s, self._offset_s))
        piece = pieces[-1]
        piece.least_s = min(piece.least_s, self._offset_s)
        piece.frames += 1
        self._frames += 1
        if self.wrong_rate is not None:
            return usual_s
        return moved_s if 0 <= moved_s == possible_s else passed_s  # a clock that jumped says nothing

    def _judge(self, now_s: float) -> None:
        pieces = self._pieces
        span_s = now_s - pieces[0].begin_s
        oldest = min(piece.least_s for piece in pieces if piece.begin_s <= pieces[0].begin_s + span_s / 4)
        newest = min(piece.least_s for piece in pieces if piece.begin_s >= min(now_s - span_s / 4, pieces[-1].begin_s))
        apart_s = newest - oldest
        disagrees = abs(apart_s) > (SLACK_S if self.wrong_rate is None else SLACK_S / 2)
        if disagrees == (self.wrong_rate is not None):
            self._since_s = None
        elif self._since_s is None:
            self._since_s = now_s
        elif now_s - self._since_s >= (CONFIRM_S if disagrees else WINDOW_S / 2):
            self._since_s = None
            self.wrong_rate = 1.0 if disagrees else None
        if self.wrong_rate is not None:
            self.proved = False
            if disagrees:
                self.wrong_rate = max(1 - apart_s / (span_s * 3 / 4), 0.0)
        elif not disagrees and span_s > WINDOW_S - 2 * PIECE_S:
            self.proved = True


@dataclass(slots=True)
class _Piece:
    """Some frames that came soon after each other. least_s: of how far arrival is behind media time."""

    begin_s: float
    least_s: float
    frames: int = 0
