"""What the process that fetches a source tells the server, as bytes in a pipe.

A message is a header (kind u8, media_s f64, arrived_s f64, then four u32), then its body. An image's numbers are its
height and width, then those of the camera's picture; its body is RGB. Of any other kind the first number is the length
of the body, which is JSON. The server checks all of it: a decoder that a video has taken over must not take over the
server.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.clean_decoding import Damage
from inkling.service.sources.lifecycle import Cause

HEADER = struct.Struct("<BddIIII")
IMAGE, OPENED, LOOPED, ENDED, FAILED, DAMAGED, FETCHING = range(1, 8)
MAX_SIDE = 4096
MAX_TEXT = 4096


class BadPipe(ValueError):
    """The bytes in the pipe are no message of this layout."""


@dataclass(frozen=True, slots=True)
class FetchedFrame:
    """A frame. media_s: its presentation time, None when it has none. arrived_s: `time.monotonic()`.

    size: (width, height) of the camera's picture, upright, of which `image` is what is needed.
    """

    media_s: float | None
    arrived_s: float
    image: NDArray[np.uint8]  # RGB (height, width, 3)
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Opened:
    """Connected. live: frames come when they happen, so that arrival says when; else the media's clock does."""

    width: int
    height: int
    format: str
    live: bool


@dataclass(frozen=True, slots=True)
class Looped:
    """A file begins again."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Played to its end. warnings: what was wrong with the file."""

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Failed:
    """The connection is over, or never was."""

    cause: Cause
    message: str


@dataclass(frozen=True, slots=True)
class Damaged:
    """Frames were left out since the last such message. counts: how many, by cause."""

    counts: dict[Damage, int]


@dataclass(frozen=True, slots=True)
class Fetching:
    """Connected, and a whole recording must come before its first frame. said: how far that is."""

    said: str


WorkerMessage = FetchedFrame | Opened | Looped | Ended | Failed | Damaged | Fetching
_KINDS: dict[type, int] = {
    Opened: OPENED,
    Looped: LOOPED,
    Ended: ENDED,
    Failed: FAILED,
    Damaged: DAMAGED,
    Fetching: FETCHING,
}


def pack(message: WorkerMessage) -> list[bytes | memoryview]:
    """Header and body."""
    if isinstance(message, FetchedFrame):
        media_s = math.nan if message.media_s is None else message.media_s
        height, width, _ = message.image.shape
        image = np.ascontiguousarray(message.image)
        sides = height, width, *reversed(message.size)
        return [HEADER.pack(IMAGE, media_s, message.arrived_s, *sides), image.data.cast("B")]
    fields = {name: getattr(message, name) for name in message.__slots__}
    body = json.dumps(fields).encode()
    return [HEADER.pack(_KINDS[type(message)], 0.0, 0.0, len(body), 0, 0, 0), body]


def body_length(header: bytes) -> int:
    """How many bytes follow a header. Raises BadPipe."""
    kind, _, arrived_s, first, second, *size = HEADER.unpack(header)
    if not math.isfinite(arrived_s):
        raise BadPipe("an arrival that is no time")
    if kind == IMAGE and 0 < first <= MAX_SIDE and 0 < second <= MAX_SIDE and all(0 < side < 2**16 for side in size):
        return int(first * second * 3)
    if OPENED <= kind <= FETCHING and first <= MAX_TEXT:
        return int(first)
    raise BadPipe(f"a message of kind {kind} and size {first}, {second}")


def unpack(header: bytes, body: bytes) -> WorkerMessage:
    """The message of a header and its body. Raises BadPipe."""
    kind, media_s, arrived_s, height, width, full_height, full_width = HEADER.unpack(header)
    if kind == IMAGE:
        image = np.frombuffer(body, np.uint8).reshape(height, width, 3)
        size = full_width, full_height
        return FetchedFrame(media_s if math.isfinite(media_s) else None, arrived_s, image, size)
    try:
        fields: Any = json.loads(body)
        match kind:
            case _ if kind == OPENED:
                width, height = int(fields["width"]), int(fields["height"])
                return Opened(width, height, _text(fields["format"]), bool(fields["live"]))
            case _ if kind == LOOPED:
                return Looped()
            case _ if kind == DAMAGED:
                return Damaged({Damage(cause): _count(count) for cause, count in fields["counts"].items()})
            case _ if kind == FETCHING:
                return Fetching(_text(fields["said"]))
            case _ if kind == ENDED:
                return Ended(tuple(_text(warning) for warning in fields["warnings"]))
            case _:
                return Failed(Cause(fields["cause"]), _text(fields["message"]))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise BadPipe(f"a message of kind {kind} that cannot be read") from error


def _count(value: object) -> int:
    """Raises ValueError."""
    if not isinstance(value, int) or not 0 <= value < 2**32:
        raise ValueError(f"{value!r} is no count")
    return value


def _text(value: object) -> str:
    """For people, on one line."""
    return "".join(character if character.isprintable() else " " for character in str(value))[:500]
