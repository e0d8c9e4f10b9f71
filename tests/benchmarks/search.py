"""The most streams that are held in time: double until they are not, halve the bracket, then prove the number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.benchmarks.figures import Spread
from tests.benchmarks.load import Load
from tests.benchmarks.processes import BenchmarkFailed, sent
from tests.benchmarks.streams import Group

MOST, STEP = 2048, 0.05
LATE_MS = 20.0
"""A generator whose frames go out later than this after their time measures itself."""

Seen = dict[str, Any]


def in_time(seen: Mapping[str, Any], p99_ms: float) -> bool:
    """Whether a group of streams was held: 99 % in time, nothing lost, dropped or refused. NaN (no answer) is not."""
    return bool(seen["p99_ms"] <= p99_ms) and not any(seen[kind] for kind in ("lost", "dropped", "refused", "errors"))


def most(holds: Callable[[int], bool], confirmed: Callable[[int], bool], first: int, limit: int = MOST) -> int:
    """The largest number that `holds`, to a twentieth, and is `confirmed`, at most `limit`; 0 when there is none.

    What fails is asked once more, because other work on the machine comes and goes; what holds is proved at the end.
    """

    def tried(streams: int) -> bool:
        return holds(streams) or holds(streams)

    good, bad = 0, first
    while bad <= limit and tried(bad):
        good, bad = bad, bad * 2
    bad = min(bad, limit + 1)
    while bad - good > max(1, round(STEP * good)):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if tried(middle) else (good, middle)
    while good and not confirmed(good):
        good -= max(1, round(STEP * good))
    return good


def proved(proof: Sequence[Mapping[str, Any]], rounds: int, p99_ms: float) -> bool | None:
    """Whether the loads so far, of `rounds` in all, prove a number of streams; None when it is still open."""
    failed = sum(not in_time(seen, p99_ms) for seen in proof)
    if 2 * failed >= rounds or any(seen["lost"] for seen in proof):
        return False
    return True if len(proof) == rounds else None


def search(group: Group, first: int, p99_ms: float, rounds: int, seconds: float) -> Seen:
    """The most streams like `group`. Proved: more than half of `rounds` loads are held, and none lost a frame untold.

    Raises BenchmarkFailed when the generator itself was late.
    """
    asked: list[Seen] = []
    proof: list[Seen] = []

    def ask(streams: int) -> Seen:
        seen: Seen = sent(Load((replace(group, streams=streams),), seconds))["groups"][0]
        asked.append(seen)
        lost = f"lost {seen['lost']}, dropped {seen['dropped']}"
        print(f"{streams:>6} streams: p99 {seen['p99_ms']:.1f} ms, {lost}", flush=True)
        if in_time(seen, p99_ms) and seen["late_p99_ms"] > LATE_MS:
            raise BenchmarkFailed(f"the generator sent {seen['late_p99_ms']} ms late, and so measured itself")
        return seen

    def confirmed(streams: int) -> bool:
        proof.clear()
        while len(proof) < rounds and proved(proof, rounds, p99_ms) is not False:
            proof.append(ask(streams))
        return proved(proof, rounds, p99_ms) is True

    found = most(lambda streams: in_time(ask(streams), p99_ms), confirmed, first)
    return {
        "streams": found,
        "p99_ms": Spread.of([seen["p99_ms"] for seen in proof]).as_json(),
        "asked": [{key: seen[key] for key in ("streams", "p50_ms", "p99_ms", "lost", "dropped")} for seen in asked],
    }
