"""The model alone: steps a second of a bundle in a plain onnxruntime loop on one thread, by batch size.

    python -m tests.benchmarks.raw [--bundle body-actions] [--seconds 1] [--batches 1 64 128 256 512]

One JSON object is the last line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence

import numpy as np

from inkling.models.bundle import Registry, initial_state, load, zoo_directory
from inkling.service.engine.onnx_engine import Engine

BATCHES = (1, 64, 128, 256, 512)


def steps_per_s(bundle: str, seconds: float, batches: Sequence[int] = BATCHES) -> dict[int, tuple[float, float]]:
    """Steps a second at each batch size, and a second on the processor, the state carried on as a server would."""
    loaded = load(Registry([zoo_directory()]).get(bundle))
    engine, spec = Engine(loaded, threads=1), loaded.spec
    names = {tensor.output: tensor.input for tensor in spec.state}
    found = {}
    for batch in batches:
        x = (np.random.default_rng(0).random((batch, *spec.input.shape)) * 100).astype(spec.input.dtype)
        state = initial_state(spec, batch)
        engine.step(x, state)
        runs, begin_s, busy_s = 0, time.perf_counter(), time.process_time()
        while (elapsed_s := time.perf_counter() - begin_s) < seconds:
            _, outputs = engine.step(x, state)
            state = {names[name]: value for name, value in outputs.items()}
            runs += 1
        busy_s = time.process_time() - busy_s
        found[batch] = (round(runs * batch / elapsed_s, 1), round(runs * batch / busy_s, 1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", default="body-actions")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    wish = parser.parse_args()
    print(json.dumps(steps_per_s(wish.bundle, wish.seconds, wish.batches)))


if __name__ == "__main__":
    main()
