"""Frames served a second on one core: the service, its ceilings, and what a user would take instead.

    python -m tests.benchmarks.throughput [--rounds 5] [--seconds 2]

Every contestant answers the same packed poses, as a server that is started afresh for each round, on one core; the
contestants come in turns, the order reversed from round to round. Closed loop: STREAMS streams, each with one frame
under way, as independent cameras have. Two more loads: the service's and the echo's with all credits used up (64
streams, eight frames under way each), which come and go several in one packet, and the service's with JSON poses.

Composed ceiling: 1 / (1/echo + 1/raw) of the same round: a second's work when each frame costs what a bare WebSocket
handler takes to answer as many bytes, and what the model alone takes at its best batch. "By time on the processor" is
the same ratio of frames a second that each was on the processor, which other work on the machine hardly disturbs.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from inkling.models.bundle import Registry, load, zoo_directory
from inkling.service.protocol.messages import Start
from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread, composed
from tests.benchmarks.load import Load
from tests.benchmarks.processes import BenchmarkFailed, asked, cores, module, sent, service
from tests.benchmarks.streams import Group, Results

STREAMS = 256
FULL = {"streams": 64, "window": 8}
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


@dataclass
class Round:
    """What one round found."""

    rates: dict[str, float] = field(default_factory=dict)
    """Frames a second, by contestant."""
    by_core: dict[str, float] = field(default_factory=dict)
    """The same a second that the contestant was on the processor: what other work took from it does not count."""
    answer_bytes: dict[str, int] = field(default_factory=dict)
    generator_busy: float = 0.0

    def ask(self, name: str, server: tuple[str, int], seconds: float, **how: Any) -> int:
        """Load a server (its URL and process) and note its rate; returns the bytes of an answer.

        Raises BenchmarkFailed when a frame was lost or refused.
        """
        url, pid = server
        path = how.pop("path", "/v1/stream")
        group = Group(f"{url}{path}", **{"streams": STREAMS, "window": 1, **how})
        seen = sent(Load((group,), seconds, WARM_S, pid))
        found = seen["groups"][0]
        if found["lost"] or found["errors"] or not found["answered"]:
            raise BenchmarkFailed(f"{name}: {found['lost']} frames lost, {found['errors']} errors")
        self.rates[name] = found["answered_per_s"]
        self.by_core[name] = found["answered_per_s"] * seconds / max(seen["server_s"], 0.01)
        self.generator_busy = max(self.generator_busy, seen["generator"])
        return int(found["answer_bytes"])

    def served(self, seconds: float) -> None:
        with service("--load", "body-actions") as server:
            for results in RESULTS:
                name = f"served, {results} results"
                self.answer_bytes[results] = self.ask(name, server, seconds, results=results)
                self.ask(f"{name}, all credits", server, seconds, results=results, **FULL)
            self.ask("served, json poses", server, seconds, payload="json")

    def echo(self, results: str, size: int, seconds: float) -> None:
        with module("alternatives.echo", str(size), "text" if results == "json" else "binary") as server:
            how: dict[str, Any] = {"kind": "plain", "path": "/ws"}
            self.ask(f"echo, {results} results", server, seconds, **how)
            self.ask(f"echo, {results} results, all credits", server, seconds, **how, **FULL)

    def raw(self) -> None:
        steps = asked("raw", "--seconds", "0.4", core=cores()[0])
        for k, rates in enumerate((self.rates, self.by_core)):
            rates |= {"raw": max(found[k] for found in steps.values()), "raw, one at a time": steps["1"][k]}

    def alternative(self, name: str, seconds: float) -> None:
        how: dict[str, Any] = dict(ALTERNATIVES[name][2])
        if how["kind"] == "http":
            spec = load(Registry([zoo_directory()]).get("body-actions")).spec
            floats = sum(math.prod(tensor.shape) for tensor in spec.state)
            how |= {"payload": "bare", "state_bytes": 4 * floats}
        with module(f"alternatives.{name}") as server:
            self.ask(name, server, seconds, **how)


def measure(rounds: int, seconds: float) -> Result:
    skipped = {
        name: f"{package} is not installed (the extra bench)"
        for name, (_, package, _) in ALTERNATIVES.items()
        if importlib.util.find_spec(package) is None
    }
    found: list[Round] = []
    first = Round()
    first.served(0.3)  # how many bytes an answer has, for the echo that comes before it
    sizes = first.answer_bytes
    for turn in range(rounds):
        this = Round()
        calls: list[tuple[str, Callable[[], None]]] = [("served", partial(this.served, seconds))]
        calls += [("echo", partial(this.echo, results, sizes[results], seconds)) for results in RESULTS]
        calls += [("raw", this.raw)]
        calls += [(name, partial(this.alternative, name, seconds)) for name in ALTERNATIVES]
        for name, call in calls if turn % 2 == 0 else reversed(calls):
            if name in skipped:
                continue
            try:
                call()
            except BenchmarkFailed as reason:
                if name not in ALTERNATIVES:
                    raise
                skipped[name] = str(reason).splitlines()[-1][-REASON:]  # left out from here on
        print(f"round {turn + 1}: " + ", ".join(f"{name} {rate:,.0f}" for name, rate in this.rates.items()), flush=True)
        found.append(this)
    return {
        **summarised([one.rates for one in found]),
        "by_core": summarised([one.by_core for one in found]),
        "answer_bytes": sizes,
        "generator_busy": max(one.generator_busy for one in found),
        "skipped": skipped,
    }


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
    names = dict.fromkeys(name for rates in found for name in rates)
    every = {name: [rates[name] for rates in found if name in rates] for name in names}
    return {
        "frames_per_s": {name: Spread.of(every[name]).as_json() for name in names},
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
            shown.append(Row("the same by time on the processor", f"{spread(result['by_core']['ratios'][name]):.2f}"))
        else:
            alternative = name.rsplit(" ", 1)[1]
            what = f"served over {ALTERNATIVES[alternative][0]}"
            shown.append(Row.at_least(what, spread(found), WANTED[alternative], ".1f", "x"))
    shown += [Row(ALTERNATIVES[name][0], f"skipped: {reason}") for name, reason in result["skipped"].items()]
    return [*shown, Row("load generator, share of its core", f"{result['generator_busy']:.0%}")]


BENCHMARK = Benchmark("throughput", __doc__ or "", measure, rows)

if __name__ == "__main__":
    BENCHMARK.run()
