"""What a stream that sends ten times too fast costs the others, and what it is told.

    python -m tests.benchmarks.fairness [--rounds 5] [--seconds 2]

300 streams at 30 Hz with a tenth-speed clock in one of them: it sends 300 frames a second whose timestamps are 1/30 s
apart, so it asks for ten times the steps. Rounds of all 300 well-behaved, and of 299 beside that one, in turns.
"""

from __future__ import annotations

from typing import Any

from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread
from tests.benchmarks.load import Load
from tests.benchmarks.processes import sent, service
from tests.benchmarks.streams import Group

STREAMS, HZ, TIMES = 300, 30.0, 10


def measure(rounds: int, seconds: float) -> Result:
    p99s: dict[str, list[float]] = {"without": [], "with": []}
    told: list[dict[str, Any]] = []
    with service("--load", "body-actions") as (url, _):
        url += "/v1/stream"
        others = Group(url, streams=STREAMS - 1, hz=HZ)
        fast = Group(url, hz=TIMES * HZ, pts_hz=HZ)
        loads = {"without": (others, Group(url, hz=HZ)), "with": (others, fast)}
        sent(Load(loads["with"], 1.0))  # warm
        for turn in range(rounds):
            for name in ("without", "with") if turn % 2 == 0 else ("with", "without"):
                seen = sent(Load(loads[name], seconds + 2))["groups"]
                p99s[name].append(seen[0]["p99_ms"])
                if name == "with":
                    told.append({key: seen[1][key] for key in ("sent", "answered", "skipped", "dropped", "lost")})
            print(f"round {turn + 1}: p99 {p99s['without'][-1]:.1f} ms, with it {p99s['with'][-1]:.1f} ms", flush=True)
    moved = [loaded / alone for loaded, alone in zip(p99s["with"], p99s["without"], strict=True)]
    return {
        "p99_ms": {name: Spread.of(values).as_json() for name, values in p99s.items()},
        "moved": Spread.of(moved).as_json(),
        "fast_stream": told,
    }


def rows(result: Result) -> list[Row]:
    told = {key: sum(one[key] for one in result["fast_stream"]) for key in ("sent", "answered", "skipped", "dropped")}
    said = ", ".join(f"{count} {key}" for key, count in told.items())
    return [
        Row(f"p99 of {STREAMS} streams at {HZ:g} Hz", f"{spread(result['p99_ms']['without']):.1f} ms"),
        Row(f"p99 of {STREAMS - 1} beside one {TIMES} times too fast", f"{spread(result['p99_ms']['with']):.1f} ms"),
        Row.at_most(
            "p99 of 299 streams beside one 10 times too fast, over their p99 without it", spread(result["moved"]), 1.2
        ),
        Row("what the fast one was told", said),
    ]


BENCHMARK = Benchmark("fairness", __doc__ or "", measure, rows)

if __name__ == "__main__":
    BENCHMARK.run()
