"""Camera frames over real sockets, beside a bare loop of decode and step; and how many cameras one core holds.

    python -m tests.benchmarks.video [--rounds 5] [--seconds 2]
    python -m tests.benchmarks.video --bare fall-watch       # the bare loop alone

640 x 480 JPEGs of about 45 kB on `fall-watch`. bare: frames a second that one thread decodes and steps in a plain loop,
at the best batch. served: frames a second answered over WebSocket with every stream's credits used up, by a server on
the same core, the sender on another; in turns. cameras: the most that may send at 10 Hz while the 99th percentile from
sent to answered stays at 150 ms or less and nothing is dropped.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import cv2
import numpy as np

from inkling.models.bundle import Registry, initial_state, load, zoo_directory
from inkling.models.bundle.schema import FrameInput
from inkling.service.engine.onnx_engine import Engine
from inkling.service.inputs.frame_mapper import fitted
from inkling.service.protocol.image_binary import pack_image, unpack_image
from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread
from tests.benchmarks.load import Load
from tests.benchmarks.processes import asked, cores, sent, service
from tests.benchmarks.search import search
from tests.benchmarks.streams import Group
from tests.benchmarks.wire import jpegs

BUNDLE = "fall-watch"
BATCHES, BATCH_S = (1, 4, 16, 32), 0.7
STREAMS = 32
CAMERA_HZ, P99_MS, FIRST = 10.0, 150.0, 16


def bare_frames(bundle: str, seconds: float) -> dict[int, tuple[float, float]]:
    """Frames a second that are decoded and stepped in a plain loop on one thread, and a second on the processor, by
    batch size."""
    loaded = load(Registry([zoo_directory()]).get(bundle))
    engine, spec = Engine(loaded, threads=1), loaded.spec
    takes = spec.input
    assert isinstance(takes, FrameInput), f"{spec.full_name} takes no images"
    frames = [unpack_image(pack_image(i, data)) for i, data in enumerate(jpegs())]
    names = {tensor.output: tensor.input for tensor in spec.state}
    cv2.setNumThreads(0)
    found = {}
    for batch in BATCHES:
        state = initial_state(spec, batch)
        done, begin_s, busy_s = 0, time.perf_counter(), time.process_time()
        while (elapsed_s := time.perf_counter() - begin_s) < seconds:
            picked = (frames[(done + i) % len(frames)] for i in range(batch))
            images = [fitted(frame, takes.height, takes.width, takes.fit) for frame in picked]
            _, outputs = engine.step(np.stack(images), state)
            state = {names[name]: value for name, value in outputs.items()}
            done += batch
        busy_s = time.process_time() - busy_s
        found[batch] = (round(done / elapsed_s, 1), round(done / busy_s, 1))
    return found


def measure(rounds: int, seconds: float) -> Result:
    shares, rates, bare, by_core = [], [], [], []
    with service("--load", BUNDLE) as (url, pid):
        cameras = Group(f"{url}/v1/stream", bundle=BUNDLE, payload="jpeg", streams=STREAMS)
        sent(Load((cameras,), 1.0))  # warm
        for turn in range(rounds):
            best, best_by_core = map(max, zip(*asked("video", "--bare", BUNDLE, core=cores()[0]).values(), strict=True))
            load_s = seconds + 1
            found = sent(Load((cameras,), load_s, 1.0, pid))
            rates.append(found["groups"][0]["answered_per_s"])
            bare.append(best)
            shares.append(rates[-1] / best)
            by_core.append(rates[-1] * load_s / found["server_s"] / best_by_core)
            print(f"round {turn + 1}: bare {best:.0f}, served {rates[-1]:.0f} frames/s", flush=True)
        live = replace(cameras, hz=CAMERA_HZ)
        held = search(live, FIRST, P99_MS, rounds, seconds + 1)
    return {
        "jpeg_bytes": round(float(np.mean([len(data) for data in jpegs()]))),
        "bare_frames_per_s": Spread.of(bare).as_json(),
        "served_frames_per_s": Spread.of(rates).as_json(),
        "served_over_bare": Spread.of(shares).as_json(),
        "by_core": Spread.of(by_core).as_json(),
        "cameras": held,
    }


def rows(result: Result) -> list[Row]:
    return [
        Row("JPEG frames/s, decoded and stepped in a bare loop", f"{spread(result['bare_frames_per_s']):,.0f}"),
        Row("JPEG frames/s served", f"{spread(result['served_frames_per_s']):,.0f}"),
        Row.at_least(
            "JPEG frames served, over a bare loop of decode and step", spread(result["served_over_bare"]), 0.85
        ),
        Row("the same by time on the processor", f"{spread(result['by_core']):.2f}"),
        Row(f"cameras at {CAMERA_HZ:g} Hz with p99 ≤ {P99_MS:g} ms", str(result["cameras"]["streams"])),
    ]


BENCHMARK = Benchmark("video", __doc__ or "", measure, rows)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--bare"]:
        print(json.dumps(bare_frames(sys.argv[2], BATCH_S)))
    else:
        BENCHMARK.run()
