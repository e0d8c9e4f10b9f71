"""What an engine can do on a device: the model alone, the engine with its rows, and where the time of a run goes.

    python -m tests.benchmarks.device [--bundle body-actions] [--device cuda] [--slots 8192] [--seconds 0.5]

raw: steps a second of the bundle's graph, fed and read from the host. served: of `Engine.advance` over tracks in turn,
which gathers and scatters their rows besides; plain: with those rows on the host, device: on the device, with and
without CUDA graphs where there are any. streams: so many of the bundle's rate and at 30 Hz the fastest of them could
advance, if nothing but the engine took time. shares: of the time of a batch without CUDA graphs: copies between host
and device, kernels by onnxruntime's own profile, and what a run takes besides, mostly launches, which that profile
makes slower. One JSON object is the last line.

Without a GPU this measures the device engine on the CPU: every line of it but the recording of CUDA graphs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from inkling.models.bundle import Bundle, Registry, initial_state, load, zoo_directory
from inkling.service.engine.device_engine import DeviceEngine
from inkling.service.engine.onnx_engine import Device, Engine, resolve_device, runtime
from tests.benchmarks.figures import table
from tests.benchmarks.processes import machine

BATCHES = tuple(1 << power for power in range(13))
HZ = 30.0
RUNS = 50


def rate(run: Callable[[], object], batch: int, seconds: float) -> float:
    """Steps a second of a run over `batch` rows."""
    run()
    runs, begin_s = 0, time.perf_counter()
    while (elapsed_s := time.perf_counter() - begin_s) < seconds:
        run()
        runs += 1
    return runs * batch / elapsed_s


def inputs(bundle: Bundle, batch: int) -> Any:
    shape = (batch, *bundle.spec.input.shape)
    return (np.random.default_rng(0).random(shape) * 100).astype(bundle.spec.input.dtype)


def raw(engine: Engine, bundle: Bundle, batch: int, seconds: float) -> float:
    x, state = inputs(bundle, batch), initial_state(bundle.spec, batch)
    return rate(lambda: engine.step(x, state), batch, seconds)


class Served:
    """An engine whose pool is full, stepped `batch` tracks at a time, all in turn."""

    def __init__(self, engine: Engine, slots: int, most: int) -> None:
        self.engine, self.slots = engine, slots
        self.pool = engine.pool(slots, most)
        for _ in range(slots):
            self.pool.acquire()
        engine.prepare_thread()

    def turn(self, bundle: Bundle, batch: int) -> Callable[[], object]:
        """What steps the next `batch` tracks."""
        x, zeros, at = inputs(bundle, batch), np.zeros(batch, np.int64), 0

        def run() -> None:
            nonlocal at
            rows = np.arange(at, at + batch) % self.slots
            self.engine.advance(self.pool, rows, zeros, zeros, x)
            at = (at + batch) % self.slots

        return run


def shares(bundle: Bundle, device: Device, batch: int, slots: int) -> dict[str, float]:
    """Of the time that a batch takes outside of numpy, without CUDA graphs."""
    with tempfile.TemporaryDirectory() as folder:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
        engine = DeviceEngine(bundle, 1, device, graphs=False)
        bucket = engine.pool(slots, batch).bucket(batch)
        copies_s = _seconds(bucket.send) + _seconds(bucket.fetch)
        engine._runs = runtime.InferenceSession(bundle.rows, options, providers=[provider])
        profiled = Served(engine, slots, batch).turn(bundle, batch)
        for _ in range(2 * RUNS):
            profiled()
        events = json.loads(Path(engine._runs.end_profiling()).read_text())
    run_s, kernels_s = profile(events)
    found = {"copies": copies_s, "kernels": kernels_s, "launches": run_s - kernels_s}
    return {what: round(part / (copies_s + run_s), 3) for what, part in found.items()}


def profile(events: list[dict[str, Any]]) -> tuple[float, float]:
    """Seconds of a run, and those of them that kernels took, by the last runs of onnxruntime's profile.

    On CUDA a kernel is an event of its own; on the CPU that of its node is all there is.
    """
    begins_us = [event["ts"] for event in events if event["name"] == "model_run"][-RUNS:]
    kept = [event for event in events if event["ts"] >= min(begins_us)]
    on_device = [event for event in kept if event.get("cat") == "Kernel"]
    nodes = [event for event in kept if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    run_us = sum(event["dur"] for event in kept if event["name"] == "model_run")
    kernels_us = sum(event["dur"] for event in on_device or nodes)
    return run_us / RUNS / 1e6, kernels_us / RUNS / 1e6


def _seconds(run: Callable[[], object]) -> float:
    """The median time that it takes."""
    taken = []
    for _ in range(RUNS):
        begin_s = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begin_s)
    return float(np.median(taken))


def measure(bundle: Bundle, device: Device, batches: tuple[int, ...], slots: int, seconds: float) -> dict[str, Any]:
    most = max(batches)
    slots = max(slots, most)
    alone = Engine(bundle, 1, device)
    contestants = {"device": Served(DeviceEngine(bundle, 1, device, graphs=False), slots, most)}
    if device == "cuda":
        contestants["device, graphs"] = Served(DeviceEngine(bundle, 1, device), slots, most)
    contestants["plain"] = Served(Engine(bundle, 1, device), slots, most)
    found: dict[str, dict[int, float]] = {"raw": {}, **{name: {} for name in contestants}}
    for batch in batches:
        found["raw"][batch] = round(raw(alone, bundle, batch, seconds), 1)
        for name, served in contestants.items():
            found[name][batch] = round(rate(served.turn(bundle, batch), batch, seconds), 1)
        print(f"batch {batch}: " + ", ".join(f"{name} {rates[batch]:,.0f}/s" for name, rates in found.items()))
    best = max(max(rates.values()) for name, rates in found.items() if name != "raw")
    return {
        "steps_per_s": found,
        "streams_at_30_hz": int(best / min(HZ, bundle.spec.rate_hz)),
        "streams_stepped_at_30_hz": int(best / HZ),
        "shares": {batch: shares(bundle, device, batch, slots) for batch in (1, 64, most)},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", default="body-actions")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--slots", type=int, default=8192)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each figure")
    wish = parser.parse_args()
    device = resolve_device(wish.device)
    bundle = load(Registry([zoo_directory()]).get(wish.bundle))
    result = measure(bundle, device, tuple(wish.batches), wish.slots, wish.seconds)
    names = list(result["steps_per_s"])
    rows = [(str(b), *(f"{result['steps_per_s'][name][b]:,.0f}" for name in names)) for b in wish.batches]
    print(table(("batch", *(f"{name}, steps/s" for name in names)), rows))
    kinds = list(next(iter(result["shares"].values())))
    rows = [(str(batch), *(f"{found[kind]:.0%}" for kind in kinds)) for batch, found in result["shares"].items()]
    print(table(("batch", *kinds), rows))
    print(
        f"{bundle.spec.full_name} on {device}: the engine alone advances {result['streams_at_30_hz']:,} streams that "
        f"send at 30 Hz ({bundle.spec.rate_hz:g} steps a second each), {result['streams_stepped_at_30_hz']:,} if it "
        "stepped at 30 Hz"
    )
    about = {"benchmark": "device", "bundle": bundle.spec.full_name, "device": device, "machine": machine()}
    print(json.dumps({**about, "onnxruntime": runtime.__version__, **result}))


if __name__ == "__main__":
    main()
