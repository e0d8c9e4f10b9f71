"""Log lines, plain or as JSON, each with the id of the stream that it is about."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

_stream: ContextVar[str | None] = ContextVar("stream", default=None)

_NOISE = ("uvicorn.access", "uvicorn.error", "uvicorn.asgi")
"""Loggers whose information (a line for every request, connection and start-up step) repeats what ours say."""

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "stream", "color_message", "taskName"}
"""What every record has; anything else came in through `extra` and is worth printing."""


_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters: a terminal obeys them
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff"  # line ends, what turns the direction of text, no width
    "\ud800-\udfff]"  # half characters, which cannot be written
)

_MOST_S = 10.0
"""Seconds in which a warning of the web server is logged once, however often clients cause it."""


def visible(text: str) -> str:
    """The same with whatever a client may hide or command with as `\\u001b`, which is also how JSON has it. Pure."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class NowAndThen(logging.Filter):
    """Lets each warning of a logger through once in `every_s` seconds, with how often it came since the last one."""

    def __init__(self, every_s: float = _MOST_S) -> None:
        super().__init__()
        self._every_s = every_s
        self._last: dict[str, tuple[float, int]] = {}  # by message: when it was logged, how often it came since

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        text = str(record.msg)
        logged_s, since = self._last.get(text, (float("-inf"), 0))
        if record.created - logged_s < self._every_s:
            self._last[text] = (logged_s, since + 1)
            return False
        self._last[text] = (record.created, 0)
        if since:
            record.msg = f"{text} ({since} more since the last such line)"
        return True


@contextmanager
def stream_context(stream: str) -> Iterator[None]:
    """Put the stream's id on every line that is logged inside, also by tasks that are started inside."""
    token = _stream.set(stream)
    try:
        yield
    finally:
        _stream.reset(token)


def setup(level: str = "info", form: Literal["plain", "json"] = "plain") -> None:
    """Send the process's log to stderr. Meant for the command line; a host application configures logging itself."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else PlainFormatter())
    handler.addFilter(add_stream)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _NOISE:
        noisy = logging.getLogger(name)
        noisy.setLevel(logging.INFO if level == "debug" else logging.WARNING)
        if not any(isinstance(each, NowAndThen) for each in noisy.filters):
            noisy.addFilter(NowAndThen())


def add_stream(record: logging.LogRecord) -> bool:
    """A logging filter: sets `record.stream` unless the call named one itself."""
    if getattr(record, "stream", None) is None:
        record.stream = _stream.get()
    return True


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _USUAL}


class PlainFormatter(logging.Formatter):
    """`12:30:01.250 info    inkling.service.websocket.endpoint: message [stream=k3v…] (key=value)`; local time."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock}.{int(record.msecs):03d} {record.levelname.lower():<7} {record.name}: {record.getMessage()}"
        if stream := getattr(record, "stream", None):
            line += f" [stream={stream}]"
        if extras := _extras(record):
            line += " (" + ", ".join(f"{name}={value}" for name, value in extras.items()) + ")"
        # A client's text must not be able to begin a line of its own, nor what it makes an exception say.
        line = visible(line.replace("\r", "\\r").replace("\n", "\\n"))
        if not record.exc_info:
            return line
        told = self.formatException(record.exc_info).split("\n")
        return "\n    ".join([line, *map(visible, told)])


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, ISO 8601), level, logger, message, stream, what `extra` had, exception."""

    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, Any] = {
            "time": f"{clock}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if stream := getattr(record, "stream", None):
            entry["stream"] = stream
        entry |= _extras(record)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return visible(json.dumps(entry, default=str, ensure_ascii=False))
