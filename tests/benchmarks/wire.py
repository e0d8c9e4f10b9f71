"""The bytes that a load sends and gets, built and read by hand so that the generator costs little. Pure.

A generator that is slower than the server measures itself, so frames are put together from parts that are made once,
and of an answer only its kind and number are read. The masking key of RFC 6455 is zero, which leaves the payload as it
is; the server unmasks it all the same.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.service.demo.figure import pose
from inkling.service.protocol.image_binary import pack_image
from inkling.service.protocol.pose_binary import pack_pose

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = bytes(4)
_STAMP = struct.Struct("<Qd")
_STAMP_AT = 8
"""Where seq and pts_s lie in every binary message of the service."""

POSES = 30
WIDTH, HEIGHT, QUALITY, PICTURES = 640, 480, 85, 24


def head(opcode: int, size: int) -> bytes:
    """What goes before a client's payload of `size` bytes."""
    if size < 126:
        return bytes([0x80 | opcode, 0x80 | size]) + KEY
    if size < 2**16:
        return bytes([0x80 | opcode, 0xFE]) + size.to_bytes(2, "big") + KEY
    return bytes([0x80 | opcode, 0xFF]) + size.to_bytes(8, "big") + KEY


def framed(opcode: int, payload: bytes) -> bytes:
    """One whole message of a client."""
    return head(opcode, len(payload)) + payload


def messages(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(opcode, begin, end) of each complete, unfragmented message of a server; a tail that is not one yet is left."""
    at, whole = 0, len(data)
    while whole - at >= 2:
        size, begin = data[at + 1], at + 2
        if size == 126:
            begin = at + 4
            size = int.from_bytes(data[at + 2 : begin], "big")
        elif size == 127:
            begin = at + 10
            size = int.from_bytes(data[at + 2 : begin], "big")
        end = begin + size
        if end > whole:
            return
        yield data[at] & 0x0F, begin, end
        at = end


def settled_by(data: bytes, opcode: int, begin: int) -> tuple[str, int]:
    """What an answer of the service is, by its first letter, and the frame up to which it settles (-1: none).

    p: prediction, packed or not; c: credit; r: ready; s: summary; e: error or event (`ev`, `er` follow); f: flushed.
    """
    if opcode == BINARY:
        return "p", int.from_bytes(data[begin + _STAMP_AT : begin + _STAMP_AT + 8], "little")
    letter = chr(data[begin + 9])  # after {"type":"
    if letter == "p":
        return letter, int(data[begin + 27 : data.index(b",", begin + 27)])  # {"type":"prediction","seq":
    if letter == "c":
        return letter, int(data[begin + 23 : data.index(b",", begin + 23)])  # {"type":"credit","seq":
    return letter, -1


class Payload(Protocol):
    """Makes the message of each frame."""

    def frame(self, seq: int, pts_s: float) -> bytes: ...


class Packed:
    """Frames whose seq and time lie at a fixed place: packed poses and images."""

    def __init__(self, bodies: list[bytes], *, bare: bool = False) -> None:
        """bodies: messages to send in turns, with any seq and time. bare: not for a WebSocket."""
        self._before = [(b"" if bare else head(BINARY, len(body))) + body[:_STAMP_AT] for body in bodies]
        self._after = [body[_STAMP_AT + _STAMP.size :] for body in bodies]
        self._count = len(bodies)

    def frame(self, seq: int, pts_s: float) -> bytes:
        k = seq % self._count
        return self._before[k] + _STAMP.pack(seq, pts_s) + self._after[k]


class Json:
    """Poses as text."""

    def __init__(self, people: list[bytes]) -> None:
        self._people = people

    def frame(self, seq: int, pts_s: float) -> bytes:
        people = self._people[seq % len(self._people)]
        return framed(TEXT, b'{"type":"pose","seq":%d,"pts_s":%.4f,"people":%b}' % (seq, pts_s, people))


def bodies() -> NDArray[np.float32]:
    """COCO-17 keypoints (POSES, 17, 3) of the demo's figure at 30 Hz."""
    return pose("jumping_jacks", np.arange(POSES) / 30).astype(np.float32)


def packed_poses(*, bare: bool = False) -> Packed:
    return Packed([pack_pose(0, [1], body[None]) for body in bodies()], bare=bare)


def json_poses() -> Json:
    people = bodies().astype(float).round(2).tolist()
    return Json([json.dumps([{"track": 1, "keypoints": body}], separators=(",", ":")).encode() for body in people])


def jpegs(count: int = PICTURES) -> list[bytes]:
    """Pictures of a moving shape before a grainy background, about as large as those of a cheap camera."""
    rng = np.random.default_rng(0)
    grain = cv2.resize(rng.normal(128, 40, (HEIGHT // 12, WIDTH // 12, 3)).astype(np.float32), (WIDTH, HEIGHT))
    files = []
    for i in range(count):
        image = np.clip(grain + rng.normal(0, 1.5, (HEIGHT, WIDTH, 1)), 0, 255).astype(np.uint8)
        x = round(WIDTH * (i + 0.5) / count)
        cv2.ellipse(image, (x, HEIGHT // 2), (40, 150), 0, 0, 360, (60, 80, 200), -1)
        files.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())
    return files


def images(files: list[bytes] | None = None) -> Packed:
    """files: None: made-up ones."""
    return Packed([pack_image(0, data) for data in (jpegs() if files is None else files)])


PAYLOADS: dict[str, Callable[[], Payload]] = {
    "packed": packed_poses,
    "bare": partial(packed_poses, bare=True),
    "json": json_poses,
    "jpeg": images,
}
"""bare: packed poses as the body of a request."""
