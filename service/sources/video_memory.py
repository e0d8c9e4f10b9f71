"""How much memory fetching a source is given: for the process, and for the pictures that it decodes. Pure.

Measured on H.264 with one thread, beside the process itself: 9 MB at 640 x 480, 19 at 1280 x 720, 37 at 1920 x 1080,
134 at 3840 x 2160, which is 5 MB and 16 bytes for each pixel.
"""

from __future__ import annotations

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
