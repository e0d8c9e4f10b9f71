"""How soon a program has a prediction: one person at 30 Hz through each client, written as the documentation says.

    python -m tests.benchmarks.client [--seconds 10]

From `send` to the program having the frame's prediction, of every frame that has one (the model takes 15 a second).
callback: `on_prediction`. paced: `received(wait_s=…)` until the next frame is due. looked: `received()` once a frame,
which sees a prediction one frame late; it is no documented pattern, and shows what the others are for. The server is a
process of its own with `body-actions`. The last line is JSON, in milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator

import numpy as np

from inkling.client import AsyncClient, Client, Prediction
from inkling.service.demo.figure import pose
from tests.benchmarks.figures import table
from tests.benchmarks.processes import end_in_order, machine, service

HZ = 30
WARM_S = 1.0
TARGET_MS = 5.0


class Clock:
    """When each frame was sent, and when its prediction was there."""

    def __init__(self) -> None:
        self.sent_s: dict[int, float] = {}
        self.there_s: dict[int, float] = {}

    def there(self, prediction: Prediction) -> None:
        self.there_s[prediction.seq] = time.perf_counter()

    def figures(self) -> dict[str, float]:
        """Median and 99th percentile in ms, and of how many, without the first second."""
        warm = self.sent_s[0] + WARM_S
        taken = [1e3 * (there - self.sent_s[seq]) for seq, there in self.there_s.items() if self.sent_s[seq] > warm]
        p50, p99 = np.percentile(taken, (50, 99))
        return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3), "count": len(taken)}


def frames(seconds: float) -> Iterator[tuple[int, float, np.ndarray]]:
    """Number, when the next one is due, and the body."""
    began_s = time.perf_counter()
    for seq in range(int(HZ * seconds)):
        yield seq, began_s + (seq + 1) / HZ, pose("squat", seq / HZ)


def left(due_s: float) -> float:
    return max(due_s - time.perf_counter(), 0.0)


def blocking(url: str, seconds: float, pattern: str) -> dict[str, float]:
    clock = Clock()
    on_prediction = clock.there if pattern == "callback" else None
    with Client(url).stream("body-actions", skeleton="coco17", on_prediction=on_prediction) as stream:
        for seq, due_s, body in frames(seconds):
            clock.sent_s[seq] = time.perf_counter()
            stream.send(body, seq / HZ)
            for prediction in stream.received(wait_s=left(due_s) if pattern == "paced" else 0.0):
                clock.there(prediction)
            time.sleep(left(due_s))
    return clock.figures()


async def awaiting(url: str, seconds: float, pattern: str) -> dict[str, float]:
    clock = Clock()
    on_prediction = clock.there if pattern == "callback" else None
    async with AsyncClient(url).stream("body-actions", skeleton="coco17", on_prediction=on_prediction) as stream:
        for seq, due_s, body in frames(seconds):
            clock.sent_s[seq] = time.perf_counter()
            await stream.send(body, seq / HZ)
            async for prediction in stream.received(wait_s=left(due_s) if pattern == "paced" else 0.0):
                clock.there(prediction)
            await asyncio.sleep(left(due_s))
    return clock.figures()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="that each pattern is measured")
    args = parser.parse_args()
    end_in_order()
    result: dict[str, dict[str, dict[str, float]]] = {"sync": {}, "async": {}}
    with service("--load", "body-actions") as (url, _):
        for pattern in ("callback", "paced", "looked"):
            result["sync"][pattern] = blocking(url, args.seconds, pattern)
            result["async"][pattern] = asyncio.run(awaiting(url, args.seconds, pattern))
    rows = [
        (kind, pattern, f"{found['p50_ms']:.2f} ms", f"{found['p99_ms']:.2f} ms", str(found["count"]))
        for kind, patterns in result.items()
        for pattern, found in patterns.items()
    ]
    print(table(("client", "pattern", f"p50 (aim: ≤ {TARGET_MS:g} ms)", "p99", "predictions"), rows))
    print(json.dumps({"benchmark": "client", "machine": machine(), "target_p50_ms": TARGET_MS, **result}))


if __name__ == "__main__":
    main()
