"""The most streams at 30 Hz that one core holds: 99 % of predictions within 50 ms, and no frame lost undeclared.

    python -m tests.benchmarks.capacity [--rounds 5] [--seconds 2]

Open loop: every stream sends packed poses on time, whatever comes back; of two frames at 30 Hz a 15 Hz model steps one.
"""

from __future__ import annotations

from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread
from tests.benchmarks.processes import service
from tests.benchmarks.search import search
from tests.benchmarks.streams import Group
from tests.benchmarks.throughput import RESULTS

HZ, P99_MS, WANTED, FIRST = 30.0, 50.0, 400, 256


def measure(rounds: int, seconds: float) -> Result:
    found: Result = {}
    first = FIRST
    with service("--load", "body-actions") as (url, _):
        for results in RESULTS:
            print(f"{results} results:", flush=True)
            group = Group(f"{url}/v1/stream", hz=HZ, results=results)
            found[results] = search(group, first, P99_MS, rounds, seconds + 1)
            first = max(8, found[results]["streams"] * 3 // 4)  # the next one is not far
    return {"held": found}


def rows(result: Result) -> list[Row]:
    shown = []
    for results, found in result["held"].items():
        streams, p99 = found["streams"], spread(found["p99_ms"])
        what = f"streams at {HZ:g} Hz with p99 ≤ {P99_MS:g} ms, {results} results"
        shown.append(Row.at_least(what, Spread(streams, streams, streams), WANTED, ".0f"))
        shown.append(Row(f"p99 of that many, {results} results", f"{p99:.1f} ms"))
    return shown


BENCHMARK = Benchmark("capacity", __doc__ or "", measure, rows)

if __name__ == "__main__":
    BENCHMARK.run()
