"""The protocol in forty lines, with nothing but the package `websockets`: for robots on Python 3.10.

    python3 plain_protocol.py [ws://127.0.0.1:8000/v1/stream] [seconds]

Copy this file; it needs neither Inkling nor numpy. It sends COCO-17 poses as JSON at 30 Hz, and prints what comes back
the moment it comes. `keypoints` below stands in for your pose estimator.
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
import time

from websockets.asyncio.client import ClientConnection, connect


def keypoints(seconds: float) -> list[list[float]]:
    """17 joints of a person who waves: x and y in pixels, and a confidence (0: not seen)."""
    xs = (320, 328, 312, 338, 302, 370, 270, 400, 240, 410, 230, 350, 290, 352, 288, 354, 286)
    ys = (100, 92, 92, 98, 98, 170, 170, 240, 110, 310, 50, 320, 320, 420, 420, 520, 520)
    joints = [[float(x), float(y), 0.9] for x, y in zip(xs, ys, strict=True)]
    joints[10][0] += 40 * math.sin(6 * seconds)
    return joints


async def send(socket: ClientConnection, seconds: float) -> None:
    began = time.monotonic()
    for seq in range(int(30 * seconds)):
        people = [{"track": 1, "keypoints": keypoints(seq / 30)}]
        await socket.send(json.dumps({"type": "pose", "seq": seq, "pts_s": seq / 30, "people": people}))
        await asyncio.sleep(max(began + (seq + 1) / 30 - time.monotonic(), 0))
    await socket.send(json.dumps({"type": "end"}))


async def main(url: str = "ws://127.0.0.1:8000/v1/stream", seconds: str = "3") -> None:
    async with connect(url, compression=None, ping_interval=None) as socket:
        await socket.send(json.dumps({"type": "start", "bundle": "body-actions", "skeleton": "coco17"}))
        sending = asyncio.create_task(send(socket, float(seconds)))
        async for text in socket:
            message = json.loads(text)
            if message["type"] == "prediction":
                print(f"{message['pts_s']:.2f} s  {message['label']}  {max(message['probabilities']):.0%}")
            elif message["type"] in ("ready", "event", "error", "summary"):
                print(message)
        await sending


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
