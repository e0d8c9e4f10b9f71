"""The healthy stream beside an attack: packed poses at 30 Hz, in a process of its own.

    python -m tests.attacks.healthy URL OUT [--hz 30] [--frames 0]

Prints `streaming` once results come, and goes on until its input is closed or `frames` are sent; `--hz 0` sends them as
fast as they are taken, which is the solo run. The results go to OUT, an `.npz`: `seq`, `probabilities` (as float32),
`sent_s` by frame, `answered_s` by result (monotonic), `failure` (empty when the stream ended in order).

Its policy is `block`: a server that stalls answers late but drops nothing, so that every prediction must come.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from inkling.service.demo.figure import pose
from inkling.service.protocol.pose_binary import pack_pose
from inkling.service.protocol.prediction_format import HEADER

HZ = 30
FRAMES = 120 * HZ
"""Of a solo run: more than an attack lasts."""
MOTIONS = ("squat", "jumping_jacks")
WARM = 8
"""Results after which the stream is under way."""
START = {"type": "start", "bundle": "body-actions", "input": "pose", "skeleton": "coco17", "policy": "block", "results": "packed"}  # fmt: skip  # noqa: E501
PATIENCE_S = 30.0
"""For the last answers, after the last frame."""


def bodies(frames: int) -> NDArray[np.float32]:
    """COCO-17 keypoints (frames, 17, 3) in which no second is like another."""
    at_s = np.arange(frames) / HZ
    parts = [pose(motion, at_s) for motion in MOTIONS]
    share = (0.5 + 0.5 * np.sin(0.7 * at_s))[:, None, None]
    noise = np.random.default_rng(12).normal(0, 0.5, parts[0].shape) * (1, 1, 0)
    mixed: NDArray[np.float32] = (share * parts[0] + (1 - share) * parts[1] + noise).astype(np.float32)
    return mixed


class Healthy:
    """One stream, what it sent and what it got."""

    def __init__(self, hz: float, frames: int) -> None:
        self.hz, self.frames = hz, frames or FRAMES
        self.sent_s: list[float] = []
        self.answered_s: list[float] = []
        self.seqs: list[int] = []
        self.probabilities: list[bytes] = []
        self.failure = ""
        self.stop = asyncio.Event()

    async def run(self, url: str) -> None:
        """Stream, and note what went wrong rather than raise it."""
        try:
            # No pings of our own: a server that a debugger stopped is no broken connection.
            async with connect(url, compression=None, ping_interval=None, max_size=None, open_timeout=30) as socket:
                await socket.send(json.dumps(START))
                json.loads(await socket.recv())["stream"]
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._send(socket))
                    tasks.create_task(self._receive(socket))
        except* (ConnectionClosed, OSError, TimeoutError, KeyError) as group:
            self.failure = self.failure or repr(group.exceptions[0])

    async def _send(self, socket: ClientConnection) -> None:
        people = bodies(self.frames)
        began_s = time.monotonic()
        for seq, body in enumerate(people):
            if self.hz:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), max(began_s + seq / self.hz - time.monotonic(), 0))
            if self.stop.is_set():
                break
            # When it was due, not when a busy machine let us send it late.
            self.sent_s.append(time.monotonic())
            await socket.send(pack_pose(seq, [1], body[None], seq / HZ))
        await socket.send('{"type":"end"}')

    async def _receive(self, socket: ClientConnection) -> None:
        async for message in socket:
            if isinstance(message, bytes):
                self.answered_s.append(time.monotonic())
                self.seqs.append(int.from_bytes(message[8:16], "little"))
                self.probabilities.append(message[HEADER.size :])
                if len(self.seqs) == WARM:
                    sys.stdout.write("streaming\n")
                    sys.stdout.flush()
            elif (said := json.loads(message))["type"] == "summary":
                return
            elif said["type"] == "error":
                self.failure = f"{said['code']}: {said['message']}"

    def results(self) -> dict[str, Any]:
        return {
            "seq": np.array(self.seqs, np.int64),
            "probabilities": np.array([np.frombuffer(row, "<f4") for row in self.probabilities]),
            "sent_s": np.array(self.sent_s),
            "answered_s": np.array(self.answered_s),
            "failure": np.array(self.failure),
        }


async def stream(url: str, out: Path, hz: float, frames: int) -> None:
    healthy = Healthy(hz, frames)
    running = asyncio.create_task(healthy.run(url))
    if hz:
        reading = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait([running, reading], return_when=asyncio.FIRST_COMPLETED)
        healthy.stop.set()
        try:
            await asyncio.wait_for(running, PATIENCE_S)
        except TimeoutError:
            healthy.failure = f"no answer for {PATIENCE_S:g} s"
    else:
        await running
    np.savez(out, **healthy.results())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument("--hz", type=float, default=HZ)
    parser.add_argument("--frames", type=int, default=0)
    args = parser.parse_args()
    asyncio.run(stream(args.url, args.out, args.hz, args.frames))


if __name__ == "__main__":
    main()
