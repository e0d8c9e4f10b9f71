"""Log lines, plain or as JSON, each with the id of the stream that it is about."""

from __future__ import annotations

import json
import logging
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
        logging.getLogger(name).setLevel(logging.INFO if level == "debug" else logging.WARNING)


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
        # A client's text must not be able to begin a line of its own.
        line = line.replace("\r", "\\r").replace("\n", "\\n")
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


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
        return json.dumps(entry, default=str, ensure_ascii=False)
