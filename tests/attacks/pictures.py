"""Pictures of few bytes and many pixels, and such as promise more than they have."""

from __future__ import annotations

import struct
import time
import zlib
from collections import Counter
from contextlib import suppress
from functools import cache, partial

import cv2
import numpy as np
from websockets.frames import Opcode

from inkling.service.protocol.image_binary import pack_image
from tests.attacks.attack import HANGS, SHUT_OUT, Attack, Got
from tests.attacks.server import Victim
from tests.attacks.wires import at_once, fate, frame, one_of, replies, said_by, websocket
from tests.benchmarks.wire import jpegs

SIDE = 4096
"""The largest that is allowed."""
CLIENTS = 3
SECONDS = 4.0
IN_FLIGHT = 2
HZ = 10.0
CAMERA_MS = 1000
"""That an honest camera may wait for an answer beside the attackers."""
START = {"bundle": "fall-watch", "input": "frame"}
SCANS = 99
MANY, FILLING, INBOX = 200, 32, 8
RAW_SIDE = 1180
"""Of a picture of raw pixels, in just less than the largest message."""


def chunk(kind: bytes, data: bytes, claimed: int | None = None) -> bytes:
    size = len(data) if claimed is None else claimed
    return struct.pack(">I", size) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, claimed: int | None = None) -> bytes:
    """claimed: how long the chunk with the pixels says it is."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data, claimed) + chunk(b"IEND", b"")


@cache
def large_png() -> bytes:
    return png(SIDE, SIDE, zlib.compress(bytes(SIDE * (1 + 3 * SIDE)), 9))


@cache
def boastful_png() -> bytes:
    return png(64, 64, zlib.compress(bytes(64 * 193)), claimed=2**31 - 1)


@cache
def large_webp() -> bytes:
    return encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 1)


@cache
def many_scans() -> bytes:
    """A progressive JPEG whose last scan is there over and over."""
    whole = encoded(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    body, end = whole[:-2], whole[-2:]
    first, *scans = body.split(b"\xff\xda")
    return b"\xff\xda".join([first, *scans, *[scans[-1]] * (SCANS - len(scans))]) + end


def encoded(form: str, flag: int, value: int) -> bytes:
    return cv2.imencode(form, np.zeros((SIDE, SIDE, 3), np.uint8), [flag, value])[1].tobytes()


def client(picture: bytes, target: Victim, seconds: float) -> Got:
    """Sends a picture, awaits its answer, sends the next one. Counts the answers."""
    got: Got = Counter()
    end_s = time.monotonic() + seconds
    with websocket(target, start=START) as raw:
        sent = 0

        def send() -> None:
            nonlocal sent
            raw.sendall(frame(Opcode.BINARY, pack_image(sent, picture, sent / HZ)))
            sent += 1

        for _ in range(IN_FLIGHT):
            send()
        raw.settimeout(30)
        for opcode, payload in replies(raw):
            what = said_by(opcode, payload)
            if what in ("event", "summary"):
                continue
            got[what] += 1
            if opcode == Opcode.CLOSE or time.monotonic() > end_s:
                break
            send()
        else:
            got["closed"] += 1
    return got


def camera(target: Victim, seconds: float) -> str:
    """An honest camera of 640 x 480 beside the attackers: whether its answers come in time."""
    picture = jpegs(1)[0]
    took_s = []
    end_s = time.monotonic() + seconds
    with websocket(target, start=START) as raw:
        raw.settimeout(30)
        answers = replies(raw)
        seq = 0
        while (sent_s := time.monotonic()) < end_s:
            raw.sendall(frame(Opcode.BINARY, pack_image(seq, picture, seq / HZ)))
            while said_by(*one_of(answers)) != "prediction":
                pass
            took_s.append(time.monotonic() - sent_s)
            seq += 1
            time.sleep(max(sent_s + 1 / HZ - time.monotonic(), 0))
    worst_ms = round(1e3 * max(took_s))
    return f"{'' if worst_ms <= CAMERA_MS else SHUT_OUT + ': '}another camera waits {worst_ms} ms"


def clients(picture: object, target: Victim, seconds: float = SECONDS) -> Got:
    made = picture() if callable(picture) else b""
    got: Got = Counter()

    def one(number: int) -> str:
        if number == CLIENTS:
            return camera(target, seconds)
        try:
            got.update(client(made, target, seconds))
        except TimeoutError:
            return HANGS
        return "client done"

    ends = at_once(CLIENTS + 1, one)
    del ends["client done"]
    return got + ends


def raw_picture(seq: int) -> bytes:
    """A message of just below 4 MiB."""
    return frame(Opcode.BINARY, pack_image(seq, np.zeros((RAW_SIDE, RAW_SIDE, 3), np.uint8), seq / HZ))


def full_inboxes(target: Victim, policy: str) -> Got:
    """Many clients, each with an inbox full of the largest pictures at once."""
    messages = [raw_picture(seq) for seq in range(INBOX)]

    def one(_: int) -> str:
        with websocket(target, start=START | {"policy": policy}) as raw:
            with suppress(BrokenPipeError, ConnectionResetError):  # why was said before
                for message in messages:
                    raw.sendall(message)
                raw.sendall(frame(Opcode.TEXT, b'{"type":"end"}'))
            return fate(raw)

    return at_once(FILLING, one)


def half_messages(target: Victim) -> Got:
    """Many clients, each of which sends all but the end of a large picture, and then nothing."""
    message = raw_picture(0)[:-100]

    def one(_: int) -> str:
        with websocket(target, start=START) as raw:
            with suppress(BrokenPipeError, ConnectionResetError):
                raw.sendall(message)
            return fate(raw)

    return at_once(MANY, one)


def undecodable(target: Victim) -> Got:
    """Pictures cut short at many places, and with bytes changed: the decoders' own words must not reach the log."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    whole = [cv2.imencode(form, image)[1].tobytes() for form in (".jpg", ".png", ".webp")]
    got: Got = Counter()
    with websocket(target, start=START | {"policy": "block"}) as raw:
        for seq in range(300):
            data = bytearray(whole[seq % 3])
            if seq % 2:
                data = data[: rng.integers(len(data) // 4, len(data))]
            for at in rng.integers(20, len(data), 3):
                data[at] ^= int(rng.integers(1, 256))
            raw.sendall(frame(Opcode.BINARY, pack_image(seq, bytes(data), seq / HZ)))
        raw.sendall(frame(Opcode.TEXT, b'{"type":"end"}'))
        got[fate(raw)] += 1
    return got


ATTACKS = (
    Attack("three clients with PNGs that claim 2 GB", partial(clients, boastful_png), short=True),
    Attack("three clients with PNGs of 49 KB, 4096 x 4096", partial(clients, large_png)),
    Attack("three clients with WebPs of 700 B, 4096 x 4096", partial(clients, large_webp)),
    Attack("three clients with JPEGs of 99 scans", partial(clients, many_scans)),
    Attack("32 clients with inboxes of 4 MB pictures", partial(full_inboxes, policy="drop_oldest")),
    Attack("32 clients with files of 4 MB pictures", partial(full_inboxes, policy="block")),
    Attack("200 clients with most of a 4 MB picture", half_messages, ("--idle-timeout-s", "3")),
    Attack("300 damaged pictures", undecodable),
)
