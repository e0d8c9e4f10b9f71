"""Where a transport stream (MPEG-TS) has lost packets, by the counters in it (ISO/IEC 13818-1, 2.4.3). Pure.

The demuxer knows of a loss too, but its parser puts the mark on another frame than the one that lacks something.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PACKET = 188
_SYNC = 0x47
_STRIDES = (188, 192, 204)
"""Bytes from packet to packet: plain, with a time before each (Blu-ray), with a check sum behind each."""
_PROBED = 4
"""Packets in a row that make a transport stream."""
_KEPT = 65_536
"""Most damaged frames that are known of at once; the oldest are forgotten first."""


def stride_of(head: bytes) -> tuple[int, int] | None:
    """Bytes from packet to packet, and where the first one begins; None: no transport stream."""
    for stride in _STRIDES:
        for first in range(min(stride, max(len(head) - stride * (_PROBED - 1), 0))):
            if all(head[first + stride * i] == _SYNC for i in range(_PROBED)):
                return stride, first
    return None


class LossFinder:
    """Looks at the bytes of a transport stream as they are read, and notes where something is missing."""

    def __init__(self, stride: int, first: int) -> None:
        """As `stride_of` says."""
        self._stride = stride
        self._first = first
        self._rest = b""
        self._next = 0  # the place of the byte that follows the last one looked at
        self._last: dict[int, tuple[int, bytes]] = {}  # by stream: counter and packet, the last one with a payload
        self._begun: dict[int, int] = {}  # by stream: where its last piece (a PES packet: a frame, or several) begins
        self._damaged: dict[tuple[int, int], None] = {}

    def feed(self, data: bytes, place: int) -> None:
        """Bytes of the file, and where they are in it. Bytes that were looked at before change nothing."""
        if place != self._next:  # the reader jumped: there is nothing to compare the next packets with
            self._rest = b""
            self._last.clear()
            self._begun.clear()
            skipped = (self._first - place) % self._stride
            data, place = data[skipped:], place + skipped
        self._next = place + len(data)
        begin = place - len(self._rest)
        data = self._rest + data
        if begin < self._first:
            data, begin = data[self._first - begin :], self._first
        whole = len(data) // self._stride * self._stride
        self._rest = data[whole:]
        if whole:
            packets = np.frombuffer(data[:whole], np.uint8).reshape(-1, self._stride)[:, :PACKET]
            self._look(packets, begin)

    def is_damaged(self, pid: int, position: int) -> bool:
        """Whether something is missing of the piece of stream `pid` that begins at `position`, as ffmpeg gives it."""
        return (pid, position + self._stride - PACKET) in self._damaged

    def _look(self, packets: NDArray[np.uint8], begin: int) -> None:
        starts = begin + np.arange(len(packets)) * self._stride
        # What is broken counts as missing: the counter of the next packet shows it.
        broken = (packets[:, 0] != _SYNC) | (packets[:, 1] & 0x80 > 0)
        pids = (packets[:, 1] & 0x1F).astype(int) << 8 | packets[:, 2]
        payload = (packets[:, 3] & 0x10 > 0) & (pids != 0x1FFF)
        for pid in {int(pid) for pid in np.unique(pids[payload & ~broken])} | set(self._last):
            own = np.flatnonzero(payload & ~broken & (pids == pid))
            if own.size:
                self._compare(pid, packets[own], starts[own])

    def _compare(self, pid: int, packets: NDArray[np.uint8], starts: NDArray[np.int64]) -> None:
        counters = (packets[:, 3] & 15).astype(int)
        announced = (packets[:, 3] & 0x20 > 0) & (packets[:, 4] > 0) & (packets[:, 5] & 0x80 > 0)
        begins = packets[:, 1] & 0x40 > 0
        last = self._last.get(pid)
        before = np.concatenate([[last[0] if last else counters[0] - 1], counters[:-1]])
        steps = (counters - before) % 16
        for i in np.flatnonzero(begins | ((steps != 1) & ~announced)):
            if steps[i] != 1 and not announced[i]:
                previous = packets[i - 1].tobytes() if i else last[1] if last else b""
                if steps[i] or packets[i].tobytes() != previous:  # else it is sent twice, as it may be
                    self._note(pid)
            if begins[i]:
                self._begun[pid] = int(starts[i])
        self._last[pid] = int(counters[-1]), packets[-1].tobytes()

    def _note(self, pid: int) -> None:
        """The piece that is being read lacks something, or what came after it is missing altogether."""
        if pid in self._begun:
            self._damaged[pid, self._begun[pid]] = None
            while len(self._damaged) > _KEPT:
                del self._damaged[next(iter(self._damaged))]
