"""When a frame that is there early is to be shown. Pure."""

from __future__ import annotations

LATE_S = 1.0
"""So late, and there is no catching up: time is anchored anew."""
LONGEST_S = 2.0
"""A file's pauses are no longer than this."""


class Pacer:
    """Real time for frames that come faster: a file, or a playlist's pieces."""

    __slots__ = ("_anchor_s",)

    def __init__(self) -> None:
        self._anchor_s: float | None = None  # the clock's time less the media's

    def wait_s(self, media_s: float, now_s: float) -> float:
        """Seconds to wait before a frame is shown, 0 or more."""
        if self._anchor_s is None:
            self._anchor_s = now_s - media_s
        wait_s = self._anchor_s + media_s - now_s
        if wait_s < -LATE_S:
            self._anchor_s = now_s - media_s
        elif wait_s > LONGEST_S:
            self._anchor_s -= wait_s - LONGEST_S
            return LONGEST_S
        return max(wait_s, 0.0)
