"""Where a JPEG ends, found while its bytes arrive. Pure. ITU-T T.81, annex B.

The marker of the end also stands in thumbnails and other things that a camera puts before the pixels, so segments are
stepped over by their lengths, and only what stands between the coded pixels is looked at.
"""

from __future__ import annotations

import re

SOI = b"\xff\xd8\xff"
"""The first bytes of a JPEG."""
EOI = b"\xff\xd9"
"""And the last ones."""
_EOI, _SOS = 0xD9, 0xDA
_BARE = frozenset(range(0xD0, 0xD8)) | {0x01}
"""Markers without a length."""
_AMONG_PIXELS = frozenset({0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE})
"""Segments that may stand between two scans: tables, the next scan's header, a comment."""
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
"""Among coded pixels: 0xFF itself is followed by 0 there."""


class JpegEnd:
    """Looks for the end of the one JPEG that `data` begins with; `data` may only grow from call to call.

    lost_at: where its structure is broken, None: nowhere so far. Its end cannot be told from there on.
    """

    __slots__ = ("_among_pixels", "_at", "lost_at")

    def __init__(self) -> None:
        self._at = 2  # what is before it is known
        self._among_pixels = False
        self.lost_at: int | None = None

    def find(self, data: bytes | bytearray) -> int | None:
        """The number of bytes of the JPEG; None: its end has not come, or it is lost."""
        while self.lost_at is None:
            if self._among_pixels:
                found = _MARKER.search(data, self._at)
                if found is None:
                    self._at = max(self._at, len(data) - 1)  # the last byte may be the first of a marker
                    return None
                self._at = found.start()
            else:
                while self._at + 1 < len(data) and data[self._at] == data[self._at + 1] == 0xFF:  # fill
                    self._at += 1
            if self._at + 2 > len(data):
                return None
            marker = data[self._at + 1]
            if data[self._at] == 0xFF and marker == _EOI:
                return self._at + 2
            if not self._step(data, marker):
                return None
        return None

    def _step(self, data: bytes | bytearray, marker: int) -> bool:
        """Go over a segment; False: more of it must come first, or it cannot be one."""
        at = self._at
        if data[at] == 0xFF and marker in _BARE:
            self._at += 2
            return True
        known = marker in _AMONG_PIXELS if self._among_pixels else 0xC0 <= marker != 0xD8
        if data[at] != 0xFF or not known:
            self.lost_at = at
            return False
        if at + 4 > len(data):
            return False
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            self.lost_at = at
            return False
        self._at += 2 + length
        self._among_pixels = marker == _SOS
        return True
