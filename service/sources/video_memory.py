"""How much memory fetching a source is given: for the process, and for the pictures that it decodes. Pure.

Measured on H.264 with one thread, beside the process itself: 9 MB at 640 x 480, 19 at 1280 x 720, 37 at 1920 x 1080,
134 at 3840 x 2160, which is 5 MB and 16 bytes for each pixel.
"""

from __future__ import annotations

from inkling.service.memory_account import Share
from inkling.service.protocol.errors import OverCapacity

MIB = 1024 * 1024
PROCESS = 36 * MIB
"""Of the process alone, without a video: what it has of its own."""
FIRST = 24 * MIB
"""To begin with, before it is known how large the pictures are."""
_BASE = 8 * MIB
_BYTES_A_PIXEL = 16
MOST = 768 * MIB


def video_bytes(width: int, height: int, factor: int = 1) -> int:
    """What decoding pictures of this size is given. factor: 2 and more after it was too little."""
    return min(max(_BASE + _BYTES_A_PIXEL * width * height, FIRST) * factor, MOST)


class VideoMemory:
    """What one source holds of the account, from one connection to the next. video_bytes: for its pictures."""

    def __init__(self, share: Share) -> None:
        self._share = share
        self._factor = 1
        self.video_bytes = FIRST

    def reserve(self) -> None:
        """Take what fetching takes, unless it is held. Raises OverCapacity."""
        self._share.change(PROCESS + self.video_bytes)

    def fit(self, width: int, height: int) -> int:
        """Take what pictures of this size take; how many bytes more that is. Raises OverCapacity, and then all of it is
        given back."""
        had = self.video_bytes
        self.video_bytes = max(video_bytes(width, height, self._factor), had)
        try:
            self.reserve()
        except OverCapacity:
            self.close()
            raise
        return self.video_bytes - had

    def was_too_little(self) -> None:
        """The next connection is given twice as much, up to a bound."""
        if self.video_bytes < MOST:
            self._factor *= 2
            self.video_bytes = min(2 * self.video_bytes, MOST)

    def close(self) -> None:
        """Give everything back. Idempotent."""
        self._share.close()
