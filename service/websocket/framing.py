"""WebSocket frames (RFC 6455), as far as almost every message needs them. Pure: bytes in, messages and bytes out.

Nearly everything that clients send is a whole message in one masked frame. Those are read here, in a fraction of the
time that a full parser takes; every other frame is passed on as it is, whole, to such a parser. Only for speed.

A frame of 17 joints is read in 0.5 µs in place of 3.2 µs, and a result is framed in 0.2 µs in place of 1.0 µs
(`python -m tests.benchmarks.fast_paths`, beside websockets' own parser on one core of an AMD EPYC).
"""

from __future__ import annotations

from collections.abc import Callable

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform that websockets has no compiled part for
    from websockets.utils import apply_mask

from inkling.service.protocol.errors import TooLarge
from inkling.service.websocket.budget import BURST

__all__ = ["SHORT", "SMALL", "Splitter", "Unusual", "binary_frame", "text_frame"]

_TEXT, _BINARY = 0x81, 0x82  # final, no extension
_MASKED = 0x80
_HEAD = 6
"""Bytes of the shortest frame that a client may send: two of header, four of mask."""

SHORT = 8
"""Bytes below which a message means nothing, whatever is in it."""
SMALL = 1024
"""Bytes below which a fragment is not worth its cost."""


class Unusual(bytes):
    """A frame for the full parser: a control frame, a fragment, or one that breaks the protocol, with all after it."""


Piece = bytes | str | Unusual


class Splitter:
    """Cuts what a client sends into messages and unusual frames, in order."""

    __slots__ = ("_begun", "_first_limit", "_fragmented", "_limit", "_most_trifles", "_need", "_rest", "trifles",
        "waiting")  # fmt: skip

    def __init__(self, limit: int, first_limit: int | None = None, most_trifles: int = BURST) -> None:
        """limit: bytes of a message; the full parser gets, and refuses, a frame that announces more.
        first_limit: of the first message. most_trifles: in one call."""
        self._limit = limit
        self._first_limit = limit if first_limit is None else min(first_limit, limit)
        self._most_trifles = most_trifles
        self._begun = False  # there was a message
        self.trifles = 0
        """Trifles (see `budget`) in the last call; beyond `most_trifles` it threw away what followed."""
        self.waiting = 0
        """Bytes of a frame that is not complete."""
        self._rest: bytes | bytearray = b""  # a frame that is not complete
        self._need = 0  # bytes that it will have at least
        self._fragmented = False  # a message is under way of which each frame is unusual

    def forget(self) -> None:
        """Drop what has come of a message: nobody will read it."""
        self._rest = b""
        self.waiting = 0

    def feed(self, data: bytes) -> list[Piece]:
        """What is complete with `data`. Raises TooLarge when the first message is."""
        if self._rest:
            if isinstance(self._rest, bytes):
                self._rest = bytearray(self._rest)
            self._rest += data
            if len(self._rest) < self._need:
                self.waiting = len(self._rest)
                return []
            data = bytes(self._rest)
            self._rest = b""
            self.waiting = 0
        pieces: list[Piece] = []
        limit = self._limit if self._begun else self._first_limit
        trifles, most_trifles = 0, self._most_trifles
        at, end, need = 0, len(data), 0
        while end - at >= _HEAD and trifles <= most_trifles:
            size = data[at + 1] - _MASKED
            begin = at + 6
            if size == 126:
                size = (data[at + 2] << 8) | data[at + 3]
                begin = at + 8
            elif size == 127:
                if end - at < 10:
                    break
                size = int.from_bytes(data[at + 2 : at + 10], "big")
                begin = at + 14
            if not 0 <= size <= limit:  # below 0: it is not masked
                if 0 <= size <= self._limit:  # only the first message is bound to less
                    if not any(type(piece) is not Unusual for piece in pieces):
                        raise TooLarge(f"the first message of a connection may have at most {self._first_limit} bytes")
                    limit = self._limit
                    continue
                pieces.append(Unusual(data[at:]))
                self.trifles = trifles
                return pieces
            stop = begin + size
            if stop > end:
                need = stop - at
                break
            first = data[at]
            if first == _BINARY and not self._fragmented:
                pieces.append(apply_mask(data[begin:stop], data[begin - 4 : begin]))
            elif first == _TEXT and not self._fragmented:
                try:
                    pieces.append(apply_mask(data[begin:stop], data[begin - 4 : begin]).decode())
                except UnicodeDecodeError:
                    pieces.append(Unusual(data[at:stop]))
            else:
                pieces.append(Unusual(data[at:stop]))
                if not first & 0x08:  # no control frame: its first bit says whether the message ends with it
                    self._fragmented = first < 0x80
                if size >= SHORT and (first & 0x08 or size < SMALL):
                    trifles += 1
            if size < SHORT:
                trifles += 1
            at = stop
        self.trifles = trifles
        if not self._begun:
            self._begun = any(type(piece) is not Unusual for piece in pieces)
        if at < end:
            self._rest, self._need = data[at:], need
            self.waiting = end - at
        return pieces


def _framer(first: int) -> Callable[[bytes], bytes]:
    short = [bytes([first, size]) for size in range(126)]

    def frame(payload: bytes) -> bytes:
        size = len(payload)
        if size < 126:
            return short[size] + payload
        if size < 1 << 16:
            return b"%c\x7e%c%c%b" % (first, size >> 8, size & 0xFF, payload)
        return b"%c\x7f%b%b" % (first, size.to_bytes(8, "big"), payload)

    return frame


text_frame = _framer(_TEXT)
"""A server's frame with one whole text message, in UTF-8."""
binary_frame = _framer(_BINARY)
"""The same of one binary message."""
