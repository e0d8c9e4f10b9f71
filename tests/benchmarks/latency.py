"""How long an answer takes: a stream alone, several at 30 Hz, and one of 100,000 steps.

    python -m tests.benchmarks.latency [--rounds 5] [--seconds 2]

alone: one stream at the model's 15 Hz; p99 from sent to received, less one step of the model alone (a batch of one).
drift: one stream that sends as fast as its credits allow; the last 1,000 steps beside the second 1,000 (the first warm
up). The distributions are of streams at 30 Hz.
"""

from __future__ import annotations

from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread, drawn
from tests.benchmarks.load import Load
from tests.benchmarks.processes import asked, cores, sent, service
from tests.benchmarks.streams import Group

SHOWN, HZ = (1, 32, 128, 256), 30.0
STEPS, MOST_S = 100_000, 150.0
ALONE_HZ, ALONE_S = 15.0, 10.0


def measure(rounds: int, seconds: float) -> Result:
    over, alone, medians, p99s, early = [], [], [], [], []
    with service("--load", "body-actions") as (url, _):
        url += "/v1/stream"
        sent(Load((Group(url, streams=8),), 1.0))  # warm
        for turn in range(rounds):
            seen = sent(Load((Group(url, hz=ALONE_HZ),), ALONE_S, 1.0))["groups"][0]
            step_ms = 1e3 / asked("raw", "--seconds", "0.3", "--batches", "1", core=cores()[0])["1"][0]
            alone.append(seen["p99_ms"])
            over.append(seen["p99_ms"] - step_ms)
            seen = sent(Load((Group(url, frames=STEPS),), MOST_S, 0.0))["groups"][0]
            medians.append(seen["late"]["p50_ms"] / seen["early"]["p50_ms"])
            p99s.append(seen["late"]["p99_ms"] / seen["early"]["p99_ms"])
            early.append(seen["early"]["p50_ms"])
            print(f"round {turn + 1}: alone p99 {alone[-1]:.2f} ms, drift {medians[-1]:.3f} of the median", flush=True)
        distributions = {
            n: sent(Load((Group(url, streams=n, hz=HZ),), seconds + 1))["groups"][0]["distribution_ms"] for n in SHOWN
        }
    return {
        "alone_p99_ms": Spread.of(alone).as_json(),
        "alone_over_step_ms": Spread.of(over).as_json(),
        "drift_median": Spread.of(medians).as_json(),
        "drift_p99": Spread.of(p99s).as_json(),
        "full_speed_p50_ms": Spread.of(early).as_json(),
        "distributions_ms": distributions,
    }


def rows(result: Result) -> list[Row]:
    return [
        Row("one stream alone, p99", f"{spread(result['alone_p99_ms']):.2f} ms"),
        Row.at_most("one stream alone, p99 less one raw step", spread(result["alone_over_step_ms"]), 3, ".2f", " ms"),
        Row.at_most("last 1,000 of 100,000 steps over the first, median", spread(result["drift_median"]), 1.05, ".3f"),
        Row("the same, p99", f"{spread(result['drift_p99']):.3f}"),
    ]


def drawing(result: Result) -> str:
    return drawn({f"{n} at {HZ:g} Hz": row for n, row in result["distributions_ms"].items()})


BENCHMARK = Benchmark("latency", __doc__ or "", measure, rows, drawing)

if __name__ == "__main__":
    BENCHMARK.run()
