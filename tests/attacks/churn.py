"""Random joins, leaves, kills and resets: every prediction must be that of the person's solo run.

    python -m tests.attacks.churn [--joins 10000] [--seed 0]

Streams of one to four people come and go, 24 at a time: they join in the middle of others' steps, send ten to sixty
frames as fast as they may, reset people, and end in order, by closing, or by a reset of the connection in the middle of
a message. Each person plays one of a few motions from its beginning, and from its beginning again after a reset, so
that each result has one right value: that of the same frame in a stream that was alone on the server. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket as tcp
import struct
import time
from collections import Counter
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from inkling.service.protocol.pose_binary import pack_pose
from inkling.service.protocol.prediction_format import HEADER
from tests.attacks.attack import Got
from tests.attacks.healthy import START, bodies
from tests.attacks.server import victim
from tests.benchmarks.processes import end_in_order

AT_ONCE = 24
MOTIONS = 16
FRAMES = 60
HZ = 15.0
WAIT_S = 60.0
Solo = dict[tuple[int, int], bytes]
"""Probabilities, bit by bit, by motion and frame of the motion."""


def played(motion: int, frame: int) -> np.ndarray:
    """COCO-17 keypoints (17, 3)."""
    body: np.ndarray = BODIES[37 * motion + frame]
    return body


BODIES = bodies(37 * MOTIONS + FRAMES)


async def started(url: str) -> ClientConnection:
    socket = await connect(url, compression=None, ping_interval=None, max_size=None, open_timeout=WAIT_S)
    await socket.send(json.dumps(START))
    json.loads(await asyncio.wait_for(socket.recv(), WAIT_S))["stream"]
    return socket


async def solo(url: str) -> Solo:
    """Each motion in a stream that is alone."""
    found: Solo = {}
    for motion in range(MOTIONS):
        socket = await started(url)
        for frame in range(FRAMES):
            await socket.send(pack_pose(frame, [1], played(motion, frame)[None], frame / HZ))
        await socket.send('{"type":"end"}')
        async for message in socket:
            if isinstance(message, bytes):
                found[motion, int.from_bytes(message[8:16], "little")] = message[HEADER.size :]
    return found


class Visit:
    """One stream's life."""

    def __init__(self, url: str, solo: Solo, rng: np.random.Generator, got: Got) -> None:
        self.url, self.solo, self.rng, self.got = url, solo, rng, got
        self.people = {int(track): int(rng.integers(MOTIONS)) for track in rng.choice(50, rng.integers(1, 5), False)}
        self.began = dict.fromkeys(self.people, 0)
        self.wanted: dict[tuple[int, int], bytes] = {}

    async def run(self) -> None:
        socket = await started(self.url)
        hearing = asyncio.create_task(self._hear(socket))
        try:
            await self._send(socket)
            leave = ("end", "close", "kill")[self.rng.integers(3)]
            self.got[leave] += 1
            if leave == "end":
                await socket.send('{"type":"end"}')
                await asyncio.wait_for(hearing, WAIT_S)
                self.got["missing"] += len(self.wanted)
            elif leave == "close":
                await socket.close()
            else:
                kill(socket)
        except (ConnectionClosed, TimeoutError) as error:
            self.got[f"lost {type(error).__name__}"] += 1
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
            socket.transport.abort()

    async def _send(self, socket: ClientConnection) -> None:
        frames = int(self.rng.integers(10, FRAMES))
        for seq in range(frames):
            if self.rng.random() < 0.05:
                track = int(self.rng.choice(list(self.people)))
                self.began[track] = seq
                self.got["reset"] += 1
                await socket.send(json.dumps({"type": "reset", "track": track}))
            rows = []
            for track, motion in self.people.items():
                frame = seq - self.began[track]
                rows.append(played(motion, frame))
                self.wanted[track, seq] = self.solo[motion, frame]
            await socket.send(pack_pose(seq, list(self.people), np.stack(rows), seq / HZ))
            if self.rng.random() < 0.3:
                await asyncio.sleep(float(self.rng.random()) * 0.02)

    async def _hear(self, socket: ClientConnection) -> None:
        try:
            async for message in socket:
                if not isinstance(message, bytes):
                    if (said := json.loads(message))["type"] == "error":
                        self.got[f"error {said['code']}"] += 1
                    continue
                track = int.from_bytes(message[24:28], "little")
                wanted = self.wanted.pop((track, int.from_bytes(message[8:16], "little")), None)
                self.got["predictions"] += 1
                if wanted != message[HEADER.size :]:
                    self.got["wrong"] += 1
        except ConnectionClosed:
            pass


def kill(socket: ClientConnection) -> None:
    """Half a message, then a reset of the connection."""
    socket.transport.write(b"\x82\xfe\x01\x00\x00\x00\x00\x00INKL")
    raw: Any = socket.transport.get_extra_info("socket")
    raw.setsockopt(tcp.SOL_SOCKET, tcp.SO_LINGER, struct.pack("ii", 1, 0))
    socket.transport.abort()


async def churned(url: str, joins: int, seed: int) -> Got:
    expected = await solo(url)
    got: Got = Counter()
    left = iter(range(joins))

    async def client() -> None:
        for number in left:
            await Visit(url, expected, np.random.default_rng((seed, number)), got).run()
            got["joins"] += 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(client())
    return got


def churn(joins: int, seed: int) -> dict[str, Any]:
    begin_s = time.monotonic()
    with victim() as target:
        got = asyncio.run(churned(target.stream_url, joins, seed))
        alive, internal = target.alive(), target.errors().get("internal", 0)
        peak_mb = round(target.memory.peak_mib)
    found: dict[str, Any] = {"joins": joins, "wrong": got["wrong"], "missing": got["missing"], "internal": internal}
    found |= {"tracebacks": len(target.log.tracebacks), "alive": alive, "got": dict(got.most_common())}
    return found | {"peak_mb": peak_mb, "seconds": round(time.monotonic() - begin_s)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--joins", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    end_in_order()
    found = churn(args.joins, args.seed)
    print(json.dumps(found))
    if any(found[what] for what in ("wrong", "missing", "internal", "tracebacks")) or not found["alive"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
