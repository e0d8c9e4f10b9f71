"""How much of the engine reaches the client: poses over real sockets, beside the engine alone.

    python -m tests.benchmarks.serving [--bundle body-actions] [--seconds 4]

Starts a real server and a load generator, each in its own process, and prints one JSON object as the last line:
raw: onnxruntime's steps a second in a plain loop at the best batch (as many threads as the server has). served: frames
a second with every stream's credits used up. latency: end to end, frame sent to prediction received, for open-loop
streams at 30 Hz (of which a 15 Hz model steps every second frame).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from models.bundle import Registry, initial_state, load, zoo_directory
from service.engine import Engine

BATCHES = (1, 8, 32, 64, 128, 256)
STREAMS = (1, 32, 256)


def raw_steps(bundle: str, seconds: float, batches: tuple[int, ...] = BATCHES) -> dict[int, float]:
    """Steps a second of the bundle's graph alone, by batch size."""
    loaded = load(Registry([zoo_directory()]).get(bundle))
    engine = Engine(loaded)
    spec, found = loaded.spec, {}
    for batch in batches:
        x = np.random.default_rng(0).random((batch, *spec.input.shape), np.float32) * 100
        state = initial_state(spec, batch)
        names = {tensor.output: tensor.input for tensor in spec.state}
        engine.step(x, state)
        runs, begin = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < seconds:
            _, outputs = engine.step(x, state)
            state = {names[name]: value for name, value in outputs.items()}
            runs += 1
        found[batch] = round(runs * batch / elapsed, 1)
    return found


@contextlib.contextmanager
def server(*flags: str) -> Iterator[str]:
    """A server in its own process on a free port; yields its URL."""
    # Quiet: nobody reads the pipe after the first line, and a full one would stop the server.
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--log-level", "error", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if ready := re.search(r"ready on (http://\S+)", line):
                yield ready.group(1)
                return
        raise RuntimeError("the server ended before it was ready")
    finally:
        process.terminate()
        process.wait(30)


def load_streams(url: str, *flags: str) -> dict[str, Any]:
    """Run the load generator in its own process; returns what it printed last."""
    command = [sys.executable, "-m", "tests.benchmarks.load", url, *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", default="body-actions")
    parser.add_argument("--seconds", type=float, default=4.0)
    wish = parser.parse_args()
    with server("--max-streams", "512") as url:
        common = ("--bundle", wish.bundle, "--seconds", str(wish.seconds))
        load_streams(url, *common, "--streams", "8", "--closed")  # warm
        served = load_streams(url, *common, "--streams", "64", "--closed")
        latency = {n: load_streams(url, *common, "--streams", str(n), "--hz", "30") for n in STREAMS}
    raw = raw_steps(wish.bundle, min(1.0, wish.seconds))
    best = max(raw.values())
    print(f"{'streams at 30 Hz':>18}  {'p50 ms':>8}  {'p99 ms':>8}  {'dropped':>8}  {'lost':>6}")
    for n, row in latency.items():
        print(f"{n:>18}  {row['p50_ms']:>8}  {row['p99_ms']:>8}  {row['dropped']:>8}  {row['lost']:>6}")
    print(f"raw steps/s by batch: {raw}")
    print(f"served frames/s: {served['answered_per_s']}  ({served['answered_per_s'] / best:.1%} of the best raw)")
    result = {
        "benchmark": "serving",
        "bundle": wish.bundle,
        "cores": len(os.sched_getaffinity(0)),
        "raw_steps_per_s": raw,
        "served_frames_per_s": served["answered_per_s"],
        "served_over_raw": round(served["answered_per_s"] / best, 4),
        "latency_at_30_hz": {n: {"p50_ms": r["p50_ms"], "p99_ms": r["p99_ms"]} for n, r in latency.items()},
        "dropped": {n: r["dropped"] for n, r in latency.items()},
        "lost": served["lost"] + sum(r["lost"] for r in latency.values()),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
