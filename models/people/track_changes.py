"""How steady tracks are, told from the tracks alone: how many begin, are lost, and are likely somebody's second. Pure.

Whether a number went from one person to another cannot be known without the truth. What can be seen is a track that
begins where another one was lost a moment before. Most often that is the same person under a new number, whose state
begins anew: an id change.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inkling.models.people.tracker import TrackedPeople

NEAR_S = 3.0
"""So long after somebody was last seen, a new track near them is likely theirs."""
_FAR = 1.0
"""Near: the centres of the two boxes are no further apart than the longer side of the old one, times this."""
_ALIKE = 2.0
"""And the longer side of neither box is more than so many times that of the other."""


class Changes(NamedTuple):
    """What became of tracks in one frame. begun: new ones. lost: those given up, for they were not seen for too long.

    renewed: of `begun`, those that are likely the second track of somebody who was lost. unwatched: people of the
    frame who are tracked and not watched, for there are too many.
    """

    begun: int = 0
    lost: int = 0
    renewed: int = 0
    unwatched: int = 0


class _Last(NamedTuple):
    """When and where a track was last seen. given_up: it was counted as lost. followed: a new track took it over."""

    seen_s: float
    box: NDArray[np.float32]
    given_up: bool = False
    followed: bool = False


class TrackChanges:
    """Looks at one stream's tracks, frame by frame. What it keeps is bounded by the tracks of the last `NEAR_S`."""

    __slots__ = ("_last", "_lost_s", "_newest", "_now_s")

    def __init__(self, lost_s: float) -> None:
        """lost_s: how long a track may be lost and still go on, as the tracker has it."""
        self._lost_s = lost_s
        self._last: dict[int, _Last] = {}
        self._newest = 0  # ids rise
        self._now_s = -math.inf

    def reset(self) -> None:
        """Everybody is new from now on, which is no change."""
        self._last.clear()
        self._now_s = -math.inf

    def saw(self, people: TrackedPeople, pts_s: float) -> Changes:
        """Those are tracked in the next frame, at `pts_s` (seconds)."""
        if pts_s < self._now_s - self._lost_s:  # another recording
            lost = self._given_up(math.inf)
            self._last.clear()
        else:
            pts_s = max(pts_s, self._now_s)
            lost = self._given_up(pts_s)
        self._now_s = pts_s
        seen = dict(zip(people.tracks.tolist(), people.boxes, strict=True))
        begun = renewed = 0
        for track, box in seen.items():
            if track > self._newest:
                begun += 1
                renewed += self._takes_over(box, seen)
        self._newest = max(self._newest, *seen, 0)
        self._last.update((track, _Last(pts_s, box)) for track, box in seen.items())
        return Changes(begun, lost, renewed)

    def _given_up(self, pts_s: float) -> int:
        """Tracks whose time is over; those that are too old to be anybody's first are forgotten."""
        lost = 0
        for track, last in list(self._last.items()):
            passed_s = pts_s - last.seen_s
            if passed_s > self._lost_s and not last.given_up:
                lost += 1
                self._last[track] = last._replace(given_up=True)
            if passed_s > max(NEAR_S, self._lost_s):
                del self._last[track]
        return lost

    def _takes_over(self, box: NDArray[np.float32], seen: dict[int, NDArray[np.float32]]) -> bool:
        """Whether somebody who is not seen now was near this box; each is taken over once."""
        width, height = (box[2:] - box[:2]).tolist()
        x, y = ((box[2:] + box[:2]) / 2).tolist()
        best: tuple[float, int] | None = None
        for track, last in self._last.items():
            if track in seen or last.followed:
                continue
            old_width, old_height = (last.box[2:] - last.box[:2]).tolist()
            old_x, old_y = ((last.box[2:] + last.box[:2]) / 2).tolist()
            size, old_size = max(width, height), max(old_width, old_height)
            apart = math.hypot(x - old_x, y - old_y)
            if apart <= _FAR * old_size and max(size, old_size) <= _ALIKE * min(size, old_size):
                best = min(best or (math.inf, track), (apart, track))
        if best is None:
            return False
        self._last[best[1]] = self._last[best[1]]._replace(followed=True)
        return True
