"""Pictures out of a camera's endless HTTP answer: `multipart/x-mixed-replace`, and what cameras make of it. Pure.

RFC 2046 says how it should be. Cameras leave out the first boundary, or send it twice; they put a blank line before it,
quotes or dashes around it, headers with bare line feeds after it, or none; their Content-Length is too small or too
large. So a JPEG ends where it says so itself, at once, without waiting for what follows, and so does a PNG. What is
neither ends after its Content-Length. And every part ends at the next boundary.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from inkling.service.sources.jpeg_end import EOI, SOI, JpegEnd

MAX_LINE = 8192
"""Bytes of a line between two parts, a header's for one; a longer one is passed over."""
_LATEST_S = 1e10
"""A time in seconds is less, whether it counts from 1970 or from when the camera was switched on."""
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_NEXT = re.compile(rb"\xff\xd9|\xff\xd8\xff")
"""What a JPEG whose structure is broken ends with, or the next one begins with."""
_HEADER = re.compile(rb"([A-Za-z][A-Za-z0-9-]*)[ \t]*:[ \t]*([ -~\t]*)")
_MEANT = (b"content-type", b"content-length", b"x-timestamp")
_NO_PICTURE = re.compile(rb"(?:text|audio|video|message|multipart)/|application/(?!octet-stream)")
_LINE_END = re.compile(rb"(?:--)?[ \t]{0,2}\r?\n")
_DASHES = 6
"""Most dashes before a boundary; RFC 2046 has two, and some cameras announce two of their own."""
_SURE = 5
"""A boundary of so many characters is known without its dashes; a shorter one may stand among pixels by chance."""
_LONGEST = 200
"""Characters of a boundary; RFC 2046 allows 70."""
_CORRECTIONS = 8
"""So often another boundary than the one that was announced is believed."""


class BadMultipart(ValueError):
    """It has no picture, or one that is too large."""


@dataclass(frozen=True, slots=True)
class Part:
    """A picture's file. timestamp_s: the camera's own time, if it says one. whole: False where its end is missing."""

    data: bytes
    timestamp_s: float | None = None
    whole: bool = True


class MultipartParser:
    """Bytes in, parts out: the same ones however the bytes are split.

    Holds one part, which has at most `max_bytes`, and what was fed last. parts: how many have come.
    """

    __slots__ = ("_body", "_boundary", "_bounded", "_data", "_delimited", "_head", "_max", "_passed", "_skips", "parts")

    def __init__(self, content_type: str, max_bytes: int) -> None:
        """content_type: of the whole answer; it should name the boundary."""
        self.parts = 0
        self._max = max_bytes
        self._boundary = _Boundary(content_type)
        self._data = bytearray()
        self._passed = 0  # bytes since the last part that belong to none
        self._head: dict[bytes, bytes] = {}
        self._body: _Body | None = None
        self._delimited = False  # a boundary has come since the last part
        self._bounded = False  # one has come after a part: so none begins without
        self._skips = False  # the rest of a line that is too long

    def feed(self, data: bytes) -> Iterator[Part]:
        """The parts that `data` completes; all of them are to be taken. Raises BadMultipart, for good."""
        self._data += data
        while True:
            if self._body is None:
                if self._between():
                    continue
                return
            if not self._body.begun:
                self._pass(len(self._data) - len(self._data.lstrip(b"\r\n")))
            found = self._body.end(self._data, self._max, self._bounded)
            if found is None:
                return
            end, rest, whole = found
            part = Part(bytes(self._data[:end]), self._body.timestamp_s, whole)
            del self._data[:rest]
            self._body, self._delimited = None, False
            if part.data:
                self._passed = 0
                self.parts += 1
                yield part

    def _between(self) -> bool:
        """Go over a line between two parts, or begin a part; False: more must come first."""
        data = self._data
        line_feed = data.find(b"\n")
        if self._begins(line_feed):
            return True
        if not self._skips and len(data) < len(_PNG) and _PNG.startswith(bytes(data)):  # it has line feeds itself
            return False
        if line_feed < 0:
            if self._skips or len(data) > MAX_LINE:
                self._skips = True
                self._pass(max(len(data) - len(SOI) + 1, 0))
            return False
        line = data[: line_feed + 1]
        skipped, self._skips = self._skips, False
        self._pass(len(line))
        if not skipped and len(line) <= MAX_LINE:
            self._read(bytes(line).rstrip())
        return True

    def _begins(self, line_feed: int) -> bool:
        """Whether a picture begins here: in the line that comes next, and if boundaries are used, after one."""
        data = self._data
        at = 0 if not self._skips and data.startswith((SOI, _PNG)) else -1
        if self._bounded and not self._delimited and not self._head:
            return False
        if at < 0 and not self._bounded:
            at = data.find(SOI, 0, len(data) if line_feed < 0 else line_feed)
        if at < 0:
            return False
        self._pass(at)
        self._begin()
        return True

    def _begin(self) -> None:
        self._body, self._head, self._skips = _Body(self._head, self._boundary), {}, False

    def _read(self, line: bytes) -> None:
        """A line between two parts."""
        if not line:
            if self._head and not _NO_PICTURE.match(self._head.get(b"content-type", b"").lower()):
                self._begin()
            self._head = {}
        elif self._boundary.is_line(line):
            self._bounded |= self.parts > 0
            self._delimited, self._head = True, {}
        elif (header := _HEADER.fullmatch(line)) and (name := header[1].lower()) in _MEANT:
            self._head[name] = header[2]

    def _pass(self, count: int) -> None:
        del self._data[:count]
        self._passed += count
        if self._passed > self._max:
            raise BadMultipart(f"there is no picture in {self._max} bytes of it")


class _Boundary:
    """The line between two parts, as far as it is known."""

    __slots__ = ("_corrections", "_token", "overlap")

    def __init__(self, content_type: str) -> None:
        found = re.search(r"""(?i)\bboundary\s*=\s*(?:"([^"]*)"|([^\s;,]*))""", content_type)
        self._corrections = 0
        self._believe((found[1] or found[2] or "").strip(" \t\"'").encode("ascii", "ignore") if found else b"")

    def _believe(self, token: bytes) -> None:
        self._token = token.lstrip(b"-")[:_LONGEST]
        self.overlap = len(self._token) + _DASHES + len(b"\n--  \r\n")

    def is_line(self, line: bytes) -> bool:
        """Whether a line between two parts, without its end, is one; if so, it is known from then on."""
        token = line.lstrip(b"-")
        known = self._token and token in (self._token, self._token + b"--")
        if not line.startswith(b"--"):
            return bool(known and len(self._token) >= _SURE)
        if not known and token and token.isascii() and self._corrections < _CORRECTIONS:
            self._corrections += 1
            self._believe(token)
        return True

    def find(self, data: bytearray, start: int) -> tuple[int, int, int] | None:
        """(end of what is before it, begin of its line, end of it) of the first one at `start` or later."""
        token = self._token
        at = data.find(token, start) if token else -1
        while at >= 0:
            least = max(at - _DASHES - 1, 0)
            line_feed = data.rfind(b"\n", least, at)
            begin = line_feed + 1 if line_feed >= 0 else 0
            dashes = at - begin
            if (line_feed >= 0 or least == 0) and data.count(b"-", begin, at) == dashes:
                end = at + len(token)
                if dashes < 2:
                    rest = _LINE_END.match(data, end) if len(token) >= _SURE else None
                    end = rest.end() if rest else -1
                if end >= 0:
                    before = max(line_feed, 0)
                    return before - (data[before - 1 : before] == b"\r"), begin, end
            at = data.find(token, at + 1)
        return None


class _Body:
    """A part whose headers are read."""

    __slots__ = ("_boundary", "_jpeg", "_length", "_searched", "begun", "timestamp_s")

    def __init__(self, head: dict[bytes, bytes], boundary: _Boundary) -> None:
        self.begun = False
        self.timestamp_s = _time_s(head.get(b"x-timestamp", b""))
        length = head.get(b"content-length", b"").strip()
        self._length = int(length) if length.isdigit() and len(length) < 12 else 0
        self._boundary = boundary
        self._jpeg = JpegEnd()
        self._searched = 0

    def end(self, data: bytearray, max_bytes: int, bounded: bool) -> tuple[int, int, bool] | None:
        """(bytes of it, bytes up to what comes next, whether it is whole); None: its end has not come.

        Raises BadMultipart for one that is longer than `max_bytes`.
        """
        if not self.begun:
            begin = bytes(data[: len(_PNG)])
            if begin not in (SOI, _PNG) and (SOI.startswith(begin) or _PNG.startswith(begin)):
                return None
            self.begun = True
        end = self._own_end(data, bounded)
        boundary = self._boundary.find(data, self._searched)
        self._searched = max(len(data) - self._boundary.overlap, 0)
        if boundary is not None and (end is None or boundary[2] <= end[0]):
            whole = not data.startswith((SOI, _PNG)) and self._length <= boundary[0]
            end = boundary[0], boundary[1], whole
        if (len(data) - self._boundary.overlap if end is None else end[0]) > max_bytes:
            raise BadMultipart(f"a picture in it has more than {max_bytes} bytes")
        return end

    def _own_end(self, data: bytearray, bounded: bool) -> tuple[int, int, bool] | None:
        """Where the part says itself that it ends, whatever follows."""
        if data.startswith(SOI):
            at, lost_at = self._jpeg.find(data), self._jpeg.lost_at
            if at is not None:
                return at, at, True
            if lost_at is None or bounded:
                return None
            found = _NEXT.search(data, lost_at)
            at = None if found is None else found.end() if found[0] == EOI else found.start()
            return None if at is None else (at, at, False)
        if data.startswith(_PNG):
            at = data.find(_PNG_END, max(self._searched - len(_PNG_END), 0))
            return None if at < 0 else (at + len(_PNG_END), at + len(_PNG_END), True)
        return (self._length, self._length, True) if 0 < self._length <= len(data) else None


def _time_s(value: bytes) -> float | None:
    try:
        time_s = float(value)
    except ValueError:
        return None
    return time_s if 0 <= time_s < _LATEST_S else None  # nan is not
