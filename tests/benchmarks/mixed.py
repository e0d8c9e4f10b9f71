"""What cameras cost the poses: 100 pose streams with and without four cameras beside them, on one core.

    python -m tests.benchmarks.mixed [--rounds 5] [--seconds 2]

Poses at 30 Hz on `body-actions`, 640 x 480 JPEGs at 10 Hz on `fall-watch`; both ways in turns.
"""

from __future__ import annotations

from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread
from tests.benchmarks.load import Load
from tests.benchmarks.processes import sent, service
from tests.benchmarks.streams import Group

POSES, CAMERAS = 100, 4


def measure(rounds: int, seconds: float) -> Result:
    p99s: dict[str, list[float]] = {"without": [], "with": [], "cameras": []}
    lost = 0
    with service("--load", "body-actions,fall-watch") as (url, _):
        url += "/v1/stream"
        poses = Group(url, streams=POSES, hz=30.0)
        cameras = Group(url, bundle="fall-watch", payload="jpeg", streams=CAMERAS, hz=10.0)
        loads = {"without": (poses,), "with": (poses, cameras)}
        sent(Load(loads["with"], 1.0))  # warm
        for turn in range(rounds):
            for name in ("without", "with") if turn % 2 == 0 else ("with", "without"):
                seen = sent(Load(loads[name], seconds + 2))["groups"]
                p99s[name].append(seen[0]["p99_ms"])
                p99s["cameras"] += [group["p99_ms"] for group in seen[1:]]
                lost += sum(group["lost"] + group["dropped"] for group in seen)
            print(f"round {turn + 1}: p99 {p99s['without'][-1]:.1f} ms, with {p99s['with'][-1]:.1f} ms", flush=True)
    moved = [loaded / alone for loaded, alone in zip(p99s["with"], p99s["without"], strict=True)]
    return {
        "p99_ms": {name: Spread.of(values).as_json() for name, values in p99s.items()},
        "moved": Spread.of(moved).as_json(),
        "lost_or_dropped": lost,
    }


def rows(result: Result) -> list[Row]:
    p99s = {name: spread(found) for name, found in result["p99_ms"].items()}
    return [
        Row(f"p99 of {POSES} pose streams", f"{p99s['without']:.1f} ms"),
        Row(f"p99 of the same beside {CAMERAS} cameras", f"{p99s['with']:.1f} ms"),
        Row.at_most(
            "p99 of 100 pose streams beside 4 cameras, over their p99 without them", spread(result["moved"]), 2
        ),
        Row("p99 of the cameras", f"{p99s['cameras']:.1f} ms"),
        Row("frames lost or dropped, of all", str(result["lost_or_dropped"])),
    ]


BENCHMARK = Benchmark("mixed", __doc__ or "", measure, rows)

if __name__ == "__main__":
    BENCHMARK.run()
