"""Large messages are read in turns, so that many of them do not keep small ones waiting.

A socket's data is handed over until the socket is empty, or reading is paused: that can be a whole message of 4 MB, of
each client, before anybody else is heard. So whoever is in the middle of a large message pauses after each piece, and
one of those who paused goes on in each turn of the event loop. It goes on until its message is here, or nothing more of
it comes: were all to go on by turns, all their messages would be in memory at once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Protocol


class Reader(Protocol):
    """Who reads a large message."""

    def read_on(self) -> None:
        """Take the next piece, when it comes."""


class LargeTurns:
    """The connections of a server that paused within a large message: whoever went on last, then the longest wait."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: OrderedDict[Reader, None] = OrderedDict()
        self._last: Reader | None = None  # that went on

    def wait(self, reader: Reader) -> None:
        """Call its `read_on` when its turn comes: once, however often it asked."""
        if not self._waiting:
            self._loop.call_soon(self._next)
        self._waiting[reader] = None
        if reader is self._last:
            self._waiting.move_to_end(reader, last=False)

    def _next(self) -> None:
        reader, _ = self._waiting.popitem(last=False)
        self._last = reader
        if self._waiting:
            self._loop.call_soon(self._next)
        reader.read_on()
