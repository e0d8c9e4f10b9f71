"""A real server that is sent pictures to harm it: it refuses them, keeps its memory, and its log stays JSON lines."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from websockets.sync.client import connect

from inkling.service.protocol.image_binary import pack_image
from tests.service.test_server import process
from tests.support import picture

PEAK_KB = 600 * 1024
"""Of a server that has both of the shipped bundles."""


def encoded(kind: str, *options: int) -> bytes:
    good, data = cv2.imencode(kind, picture(240, 320), list(options))
    assert good
    return data.tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def flat_png(side: int) -> bytes:
    numbers = side.to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    rows = zlib.compress(bytes(side * (1 + 3 * side)), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", numbers) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def flat_webp(side: int) -> bytes:
    good, data = cv2.imencode(".webp", np.zeros((side, side, 3), np.uint8), [cv2.IMWRITE_WEBP_QUALITY, 101])
    assert good
    return data.tobytes()


def of_many_scans(side: int) -> bytes:
    good, data = cv2.imencode(".jpg", np.zeros((side, side, 3), np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert good
    whole = data.tobytes()
    return whole[:-2] + whole[whole.rindex(b"\xff\xda") : -2] * 89 + whole[-2:]


PNG, JPEG = encoded(".png"), encoded(".jpg")
SCAN = JPEG.index(b"\xff\xda") + 200
HOSTILE = {
    "a chunk that claims 1.9 GB": PNG[:33] + (0x7000_0000).to_bytes(4, "big") + b"IDAT" + PNG[41:69],
    "a wrong checksum": PNG[:100] + b"\0\0\0" + PNG[103:],
    "too few pixels": PNG[:33] + chunk(b"IDAT", zlib.compress(bytes(1000))) + PNG[-12:],
    "a header of no kind": PNG[:24] + b"\x03\x05" + PNG[26:],
    "a JPEG that was cut": JPEG[: len(JPEG) // 2] + b"\xff\xd9",
    "a JPEG that lost a packet": JPEG[:SCAN] + JPEG[SCAN + 1400 :],
    "a JPEG without a frame": JPEG[:2] + JPEG[SCAN:],
    "a WebP that was cut": encoded(".webp")[:200],
    "a flat PNG of 4096 x 4096": flat_png(4096),
    "a flat WebP of 4096 x 4096": flat_webp(4096),
    "a JPEG of 99 scans": of_many_scans(4096),
}


@pytest.mark.timeout(120)
def test_hostile_pictures_are_refused_in_little_memory_and_the_log_stays_json() -> None:
    largest_allowed = [flat_png(2800), *(encoded(".png") for _ in range(3))]
    with process("--log-format", "json", "--load", "body-actions,fall-watch") as server:
        url = server.ready().replace("http", "ws") + "/v1/stream"
        with connect(url, max_size=None, proxy=None) as socket:
            socket.send(json.dumps({"type": "start", "bundle": "fall-watch", "input": "frame", "policy": "block"}))
            rate_hz = json.loads(socket.recv(30))["rate_hz"]
            refused = {}
            for seq, (name, data) in enumerate(HOSTILE.items()):
                socket.send(pack_image(seq, data, seq / rate_hz))
                answer = json.loads(socket.recv(30))
                refused[name] = answer.get("code"), answer.get("seq")
            assert refused == {name: ("bad_image", seq) for seq, name in enumerate(HOSTILE)}
            for seq, data in enumerate(largest_allowed, len(HOSTILE)):
                socket.send(pack_image(seq, data, seq / rate_hz))
                answer = json.loads(socket.recv(30))
                assert (answer["type"], answer["seq"]) == ("prediction", seq)
        status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="utf-8")
        (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        server.process.terminate()
        _, errors = server.end()
    assert peak < PEAK_KB
    for line in errors.splitlines():
        assert isinstance(json.loads(line), dict), line
