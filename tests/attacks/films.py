"""Videos: one that never ends, a disk that is full, uploads given up, and many sources at once."""

from __future__ import annotations

import io
import json
import resource
import shutil
import socket
import struct
import tempfile
import time
import urllib.request
from collections import Counter
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from tests.attacks.attack import HANGS, SHUT_OUT, Attack, Got
from tests.attacks.server import Victim
from tests.attacks.wires import at_once, connected, outcome, post, pour, request_head
from tests.films import make_film, pictures

VIDEOS = "/v1/clips?bundle=fall-watch"
FRAMES, SIDE, GROUP = 108_000, 2048, 250
WATCHED_S = 30.0
LOOK_S = 1.0
SOURCES = 32


@cache
def small_film() -> bytes:
    """A second of an honest video."""
    with tempfile.TemporaryDirectory() as name:
        made = make_film(Path(name) / "x.mp4", pictures(15, 96, 128), codec="libx264", pixels="yuv420p")
        return made.read_bytes()


@cache
def endless_film(frames: int = FRAMES) -> bytes:
    """An H.264 film of black pictures: one group is compressed, and repeated with later times."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as film:
        stream: Any = film.add_stream("libx264", rate=30, options={"preset": "ultrafast", "g": str(GROUP), "bf": "0"})
        stream.width = stream.height = SIDE
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 30)
        black: Any = av.VideoFrame.from_ndarray(np.zeros((SIDE * 3 // 2, SIDE), np.uint8), format="yuv420p")
        group: list[bytes] = []
        for number in range(GROUP):
            black.pts, black.time_base = number, Fraction(1, 30)
            group += [bytes(packet) for packet in stream.encode(black)]
        group += [bytes(packet) for packet in stream.encode()]
        for number in range(frames):
            packet = av.Packet(group[number % GROUP])
            packet.stream, packet.time_base = stream, Fraction(1, 30)
            packet.pts = packet.dts = number
            packet.is_keyframe = number % GROUP == 0
            film.mux(packet)
    return file.getvalue()


def endless(target: Victim) -> Got:
    """Watched for a while; it must have ended with an error by then, or the server must say when it will."""
    with connected(target) as raw:
        film = endless_film()
        head = request_head(target, f"{VIDEOS}&wait=false", f"Content-Length: {len(film)}", "Connection: close")
        pour(raw, [head, film])
        got = Counter([outcome(raw)])
    end_s = time.monotonic() + WATCHED_S
    row: dict[str, Any] = {}
    while time.monotonic() < end_s:
        rows = json.load(urllib.request.urlopen(f"{target.url}/v1/clips", timeout=20))  # noqa: S310
        row = rows[-1] if rows else {}
        if row.get("state") not in ("receiving", "scoring"):
            break
        time.sleep(LOOK_S)
    state = row.get("state", "gone")
    if row.get("left_s"):
        state = f"{state} for {row['left_s']:.0f} s at most"
    elif state in ("receiving", "scoring"):
        state = f"{HANGS}, still {state}"
    got[row["error"]["code"] if row.get("error") else state] += 1
    return got


def broken_directory(target: Victim) -> Got:
    """The clip directory is gone; when it is there again, videos are scored again."""
    clips = target.directory / "clips"
    shutil.rmtree(clips)
    got = Counter(post(target, VIDEOS, small_film()) for _ in range(6))
    clips.mkdir()
    return got + again(target)


def full_disk(target: Victim) -> Got:
    """Files cannot grow: the limit of the process stands for a full disk. Then there is room again."""
    resource.prlimit(target.pid, resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    got = Counter(post(target, VIDEOS, small_film()) for _ in range(6))
    resource.prlimit(target.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return got + again(target)


def again(target: Victim) -> Got:
    said = post(target, VIDEOS, small_film())
    return Counter(["afterwards 200" if said == "200" else f"{SHUT_OUT}: {said}"])


def given_up(target: Victim) -> Got:
    """Uploads whose client resets the connection half way."""
    paths = ("/v1/clips?bundle=body-actions", VIDEOS, "/v1/sources")

    def one(number: int) -> str:
        with connected(target) as raw:
            body = b'{"fps": 30, "people": [' if number % 3 != 1 else small_film()[:500]
            raw.sendall(request_head(target, paths[number % 3], "Content-Length: 100000") + body)
            if number % 2:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return "gave up"

    got: Got = Counter()
    for _ in range(5):
        got += at_once(12, one)
    return got + again(target)


def many_sources(target: Victim, height: int, width: int) -> Got:
    """As many sources as there may be, each a looped film."""
    film = pictures(30 if height < 1000 else 8, height, width)
    make_film(target.directory / "films" / "loop.mp4", film, codec="libx264", pixels="yuv420p")
    body = json.dumps({"url": "file:loop.mp4", "bundle": "fall-watch", "loop": True}).encode()
    got = Counter(post(target, "/v1/sources", body, "Content-Type: application/json") for _ in range(SOURCES))
    end_s = time.monotonic() + 20
    states: Got = Counter()
    while time.monotonic() < end_s:
        rows = json.load(urllib.request.urlopen(f"{target.url}/v1/sources", timeout=30))  # noqa: S310
        states = Counter(f"source {row['state']}" for row in rows)
        time.sleep(LOOK_S)
    return got + states


ATTACKS = (
    Attack("a video of 108,000 frames of 2048 x 2048 in 7 MB", endless),
    Attack("the clip directory is gone", broken_directory, short=True),
    Attack("the disk is full", full_disk),
    Attack("60 uploads given up", given_up),
    Attack("32 sources of 1280 x 720", partial(many_sources, height=720, width=1280)),
    Attack("32 sources of 3840 x 2160", partial(many_sources, height=2160, width=3840)),
)
