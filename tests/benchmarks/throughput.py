"""Frames served a second on one core: the service, its ceilings, and what a user would take instead.

    python -m tests.benchmarks.throughput [--rounds 5] [--seconds 2]

Every contestant answers the same packed poses, as a server that is started afresh for each round, on one core; the
contestants come in turns, the order reversed from round to round. Closed loop: STREAMS streams, each with one frame
under way, as independent cameras have. Two more loads: the service's and the echo's with CREDITS frames under way,
which come and go several in one packet, and the service's with JSON poses.

Composed ceiling: 1 / (1/echo + 1/raw) of the same round: a second's work when each frame costs what a bare WebSocket
handler takes to answer as many bytes, and what the model alone takes at its best batch.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.bundle import Registry, load, zoo_directory
from service.messages import Start
from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread, composed
from tests.benchmarks.load import Load
from tests.benchmarks.processes import BenchmarkFailed, asked, cores, module, sent, service
from tests.benchmarks.streams import Group, Results

STREAMS, CREDITS = 256, 8
WARM_S = 0.7
REASON = 100
"""Letters of an error that are shown."""
PACKED_RESULTS = "results" in Start.model_fields
RESULTS: tuple[Results, ...] = ("json", "packed") if PACKED_RESULTS else ("json",)
ALTERNATIVES = {
    # name: (what it is, the package it needs, how its load speaks)
    "naive_onnx": ("FastAPI handler, onnxruntime frame by frame", "onnxruntime", {"kind": "plain", "path": "/ws"}),
    "torch_eager": ("FastAPI handler, torch eager frame by frame", "torch", {"kind": "plain", "path": "/ws"}),
    "litserve_app": ("LitServe, its own batching", "litserve", {"kind": "http", "path": "/predict"}),
    "ray_serve_app": ("Ray Serve, its own batching", "ray", {"kind": "plain", "path": "/ws"}),
}
WANTED = {"naive_onnx": 2.5, "torch_eager": 4.0, "litserve_app": 4.0, "ray_serve_app": 6.0}


def _rate(url: str, seconds: float, **how: Any) -> tuple[float, dict[str, Any]]:
    """Frames answered a second. Raises BenchmarkFailed when any was lost or refused."""
    path = how.pop("path", "/v1/stream")
    group = Group(f"{url}{path}", **{"streams": STREAMS, "window": 1, **how})
    seen = sent(Load((group,), seconds, WARM_S))
    found = seen["groups"][0]
    if found["lost"] or found["errors"] or not found["answered"]:
        raise BenchmarkFailed(f"{how}: {found['lost']} frames lost, {found['errors']} errors")
    return found["answered_per_s"], {**found, "generator": seen["generator"]}


def _service(seconds: float, rates: dict[str, float], sizes: dict[str, int], busy: list[float]) -> None:
    with service("--load", "body-actions") as (url, _):
        loads: dict[str, dict[str, Any]] = {}
        for results in RESULTS:
            loads[f"served, {results} results"] = {"results": results}
            loads[f"served, {results} results, all credits"] = {"results": results, "streams": 64, "window": CREDITS}
        loads["served, json poses"] = {"payload": "json"}
        for name, how in loads.items():
            rates[name], found = _rate(url, seconds, **how)
            busy.append(found["generator"])
            sizes[how.get("results", "json")] = found["answer_bytes"]


def _echo(results: str, seconds: float, rates: dict[str, float], sizes: dict[str, int]) -> None:
    with module("alternatives.echo", str(sizes[results]), "text" if results == "json" else "binary") as url:
        rates[f"echo, {results} results"], _ = _rate(url, seconds, kind="plain", path="/ws")
        rates[f"echo, {results} results, all credits"], _ = _rate(
            url, seconds, kind="plain", path="/ws", streams=64, window=CREDITS
        )


def _alternative(name: str, seconds: float, rates: dict[str, float]) -> None:
    how: dict[str, Any] = dict(ALTERNATIVES[name][2])
    if how["kind"] == "http":
        spec = load(Registry([zoo_directory()]).get("body-actions")).spec
        floats = sum(math.prod(tensor.shape) for tensor in spec.state)
        how |= {"payload": "bare", "state_bytes": 4 * floats}
    with module(f"alternatives.{name}") as url:
        rates[name], _ = _rate(url, seconds, **how)


@contextmanager
def _skipping(name: str, skipped: dict[str, str]) -> Iterator[None]:
    """An alternative that fails is left out from then on, and said to be."""
    try:
        yield
    except BenchmarkFailed as reason:
        skipped[name] = str(reason).splitlines()[-1][-REASON:]


def measure(rounds: int, seconds: float) -> Result:
    skipped = {
        name: f"{package} is not installed (the extra bench)"
        for name, (_, package, _) in ALTERNATIVES.items()
        if importlib.util.find_spec(package) is None
    }
    found: list[dict[str, float]] = []
    sizes: dict[str, int] = {}
    busy: list[float] = []
    _service(0.5, {}, sizes, [])  # how many bytes an answer has
    for turn in range(rounds):
        rates: dict[str, float] = {}
        order = ["service", *(f"echo {results}" for results in RESULTS), "raw", *ALTERNATIVES]
        for name in order if turn % 2 == 0 else reversed(order):
            if name == "service":
                _service(seconds, rates, sizes, busy)
            elif name.startswith("echo"):
                _echo(name.split()[1], seconds, rates, sizes)
            elif name == "raw":
                steps = asked("raw", "--seconds", "0.4", core=cores()[0])
                rates |= {"raw": max(steps.values()), "raw, one at a time": steps["1"]}
            elif name not in skipped:
                with _skipping(name, skipped):
                    _alternative(name, seconds, rates)
        print(f"round {turn + 1}: " + ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items()), flush=True)
        found.append(rates)
    return summarised(found) | {"answer_bytes": sizes, "generator_busy": max(busy), "skipped": skipped}


def summarised(found: list[dict[str, float]]) -> Result:
    """Medians of the rates, and of the ratios taken within each round."""
    ratios: dict[str, list[float]] = {}
    for rates in found:
        for name, rate in rates.items():
            if name.startswith("served") and f"echo{name[6:]}" in rates:
                ceiling = composed(rates[f"echo{name[6:]}"], rates["raw"])
                ratios.setdefault(f"{name} / composed ceiling", []).append(rate / ceiling)
        served = max(rate for name, rate in rates.items() if name in _ONE_FRAME)
        for name in ALTERNATIVES:
            if name in rates:
                ratios.setdefault(f"served / {name}", []).append(served / rates[name])
    names = {name for rates in found for name in rates}
    every = {name: [rates[name] for rates in found if name in rates] for name in names}
    return {
        "frames_per_s": {name: Spread.of(every[name]).as_json() for name in sorted(names)},
        "ratios": {name: Spread.of(values).as_json() for name, values in ratios.items()},
    }


_ONE_FRAME = {f"served, {results} results" for results in ("json", "packed")}


def rows(result: Result) -> list[Row]:
    rates, ratios = result["frames_per_s"], result["ratios"]
    said = {name: what for name, (what, _, _) in ALTERNATIVES.items()}
    shown = [Row(f"frames/s: {said.get(name, name)}", f"{spread(found):,.0f}") for name, found in rates.items()]
    for name, found in ratios.items():
        if name.endswith("composed ceiling"):
            shown.append(Row.at_least(name, spread(found), 0.65))
        else:
            alternative = name.rsplit(" ", 1)[1]
            what = f"served over {ALTERNATIVES[alternative][0]}"
            shown.append(Row.at_least(what, spread(found), WANTED[alternative], ".1f", "x"))
    shown += [Row(ALTERNATIVES[name][0], f"skipped: {reason}") for name, reason in result["skipped"].items()]
    return [*shown, Row("load generator, share of its core", f"{result['generator_busy']:.0%}")]


BENCHMARK = Benchmark("throughput", __doc__ or "", measure, rows)

if __name__ == "__main__":
    BENCHMARK.run()
