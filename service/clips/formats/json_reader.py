"""JSON of any size from a stranger, read a piece at a time. Pure.

A parser that takes a text whole makes objects of all of it before anybody sees what is wrong, twenty bytes for each of
the text's, and holds the interpreter meanwhile. Here a window of the text is parsed at a time, entry by entry, and what
comes of it is checked before the next one is.
"""

from __future__ import annotations

import codecs
import json
import mmap
import re
from collections.abc import Iterator
from typing import Any, NoReturn

from inkling.service.protocol.errors import BadClip

Body = bytes | bytearray | mmap.mmap
"""A whole text or file; one that is mapped from a file is not copied."""
WINDOW = 256 * 1024
"""Bytes that are looked at in one go."""
ENTRY = WINDOW // 4
"""Characters of one entry, such as a frame."""

_SPACE = re.compile(r"[ \t\r\n]*")


class JsonReader:
    """A place in a text. What reads moves it on. Raises BadClip where the text is not JSON."""

    def __init__(self, body: Body) -> None:
        """body: UTF-8."""
        self._body = body
        self._base = 0  # of the window, in bytes
        self._size = 0
        self._text = ""
        self._at = 0
        self._scan: Any = vars(json.JSONDecoder(parse_constant=self._no_number))["scan_once"]
        self._look_on()

    def peek(self) -> str:
        """The next character that is no white space; nothing at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._look_on():
                return ""

    def value(self) -> Any:
        """One whole value."""
        if not self.peek():
            self.fail("it ends too early")
        if len(self._text) - self._at < ENTRY:
            self._look_on()
        try:
            value, end = self._scan(self._text, self._at)
        except (StopIteration, ValueError, RecursionError):
            end = len(self._text) + 1
        if end > len(self._text) or (end == len(self._text) and not self._last):
            self.fail(
                "a value is not complete or not JSON"
                if self._last
                else f"a value is not JSON, or longer than {ENTRY} characters"
            )
        self._at = end
        return value

    def fields(self) -> Iterator[str]:
        """Each key of an object. The caller reads its value before the next one."""
        for _ in self._parts("{", "}"):
            key = self.value() if self.peek() == '"' else self.fail("a key is no text")
            self._take(":")
            yield key

    def entries(self) -> Iterator[None]:
        """Once for each entry of a list. The caller reads it before the next one."""
        yield from self._parts("[", "]")

    def items(self) -> Iterator[Any]:
        """Each entry of a list."""
        for _ in self.entries():
            yield self.value()

    def documents(self) -> Iterator[Any]:
        """The entries of a list, or values that follow each other, as in a file of lines."""
        if self.peek() == "[":
            yield from self.items()
            self.end()
        else:
            while self.peek():
                yield self.value()

    def end(self) -> None:
        """Nothing follows."""
        if self.peek():
            self.fail("something follows its end")

    def fail(self, what: str) -> NoReturn:
        """Raises BadClip with the place."""
        place = self._base + len(self._text[: self._at].encode())
        raise BadClip(f"not JSON: {what} (at byte {place} of {len(self._body)})")

    @property
    def _last(self) -> bool:
        return self._base + self._size >= len(self._body)

    def _parts(self, opening: str, closing: str) -> Iterator[None]:
        self._take(opening)
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == closing:
                self._at += 1
                return
            self._take(",")

    def _take(self, character: str) -> None:
        if self.peek() != character:
            self.fail(f"{character!r} is missing")
        self._at += 1

    def _look_on(self) -> bool:
        """Move the window to this place. False: it reaches the end already."""
        if self._size and self._last:
            return False
        self._base += len(self._text[: self._at].encode())
        window = self._body[self._base : self._base + WINDOW]
        final = self._base + len(window) >= len(self._body)
        try:
            self._text, self._size = codecs.utf_8_decode(window, "strict", final)
        except UnicodeDecodeError as error:
            raise BadClip(f"the text is not UTF-8: byte {self._base + error.start}") from None
        self._at = 0
        return bool(self._text)

    def _no_number(self, word: str) -> NoReturn:
        raise ValueError(f"{word} is no number")
