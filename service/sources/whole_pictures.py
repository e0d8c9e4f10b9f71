"""Packets of one picture as one packet: some cameras send the pieces of a picture as if each were one.

A decoder would take every piece for a damaged picture. The pieces have the same time, so a packet is held until the
next one comes: only key frames at first, which are the large ones, and every packet of a camera that cuts others too.
Where a camera's clock stands still, whole pictures have the same time as well: a picture's first slice says that it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av

Packet = Any
"""av.Packet, whose type parameter exists for type checkers only."""


_START = b"\0\0\1"
_SLICES = {"h264": (1, 0, 31, (1, 2, 5)), "hevc": (2, 1, 63, range(32))}
"""By codec: bytes of a NAL unit's head, where in the first of them its type is, and which types are slices (ITU-T H.264
and H.265, 7.3.1)."""


class WholePictures:
    """Joins the packets of one video stream. For one thread."""

    def __init__(self, packets: Iterator[Packet]) -> None:
        self._packets = packets
        self._held: Packet | None = None
        self._cuts_all = False  # a picture that is no key frame came in pieces
        self._last_pts: int | None = None

    def __iter__(self) -> Iterator[Packet]:
        """Whole ones. Raises what `packets` raises."""
        for packet in self._packets:
            held = self._held
            if held is not None and self._belongs(held, packet):
                self._held = _joined(held, packet)
                continue
            if held is None and packet.pts is not None and packet.pts == self._last_pts:
                self._cuts_all = True  # too late for this picture
            self._last_pts = packet.pts
            if held is not None:
                yield held
            self._held = packet if packet.size and (packet.is_keyframe or self._cuts_all) else None
            if self._held is None:
                yield packet
        if self._held is not None:
            yield self._held

    @staticmethod
    def _belongs(held: Packet, packet: Packet) -> bool:
        whole = not (held.is_corrupt or packet.is_corrupt)  # a mark of damage must not be lost
        if not (whole and packet.size and packet.pts is not None and packet.pts == held.pts):
            return False
        codec = packet.stream.codec_context.name
        return _first_slice(bytes(held), codec) is None or not _first_slice(bytes(packet), codec)


def _first_slice(data: bytes, codec: str) -> bool | None:
    """Whether the first slice in it is a picture's first one; None: there is no slice, or the codec is another."""
    if codec not in _SLICES:
        return None
    head, shift, mask, slices = _SLICES[codec]
    at = data.find(_START)
    while 0 <= at < len(data) - len(_START) - head:
        unit = at + len(_START)
        if data[unit] >> shift & mask in slices:
            return data[unit + head] >= 0x80  # `first_mb_in_slice` 0, or `first_slice_segment_in_pic_flag`
        at = data.find(_START, unit)
    return None


def _joined(first: Packet, second: Packet) -> Packet:
    whole = av.Packet(bytes(first) + bytes(second))
    whole.pts, whole.dts, whole.time_base = first.pts, first.dts, first.time_base
    whole.is_keyframe = first.is_keyframe
    return whole
