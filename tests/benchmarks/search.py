"""The most streams that are held in time: double until they are not, halve the bracket, then prove the number."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.benchmarks.figures import Spread
from tests.benchmarks.load import Load
from tests.benchmarks.processes import sent
from tests.benchmarks.streams import Group

MOST, STEP = 2048, 0.05
LATE_MS = 20.0
"""A generator whose frames go out later than this after their time measures itself."""
NARROWLY = 3.0
"""Times the limit within which a failure may be chance."""

Seen = dict[str, Any]


def in_time(seen: Mapping[str, Any], p99_ms: float) -> bool:
    """Whether a group of streams was held: sent on time, 99 % answered in time, nothing lost, dropped or refused. NaN
    (no answer) is not."""
    whole = not any(seen[kind] for kind in ("lost", "dropped", "refused", "errors"))
    return whole and bool(seen["p99_ms"] <= p99_ms and seen["late_p99_ms"] <= LATE_MS)


def most(holds: Callable[[int], bool], confirmed: Callable[[int], bool], first: int, limit: int = MOST) -> int:
    """The largest number that `holds`, to a twentieth, and is `confirmed`, at most `limit`; 0 when there is none."""
    good, bad = 0, first
    while bad <= limit and holds(bad):
        good, bad = bad, bad * 2
    bad = min(bad, limit + 1)
    while bad - good > max(1, round(STEP * good)):
        middle = (good + bad) // 2
        good, bad = (middle, bad) if holds(middle) else (good, middle)
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

    A load that the generator sent late counts as not held.
    """
    asked: list[Seen] = []
    proof: list[Seen] = []

    def ask(streams: int) -> Seen:
        seen: Seen = sent(Load((replace(group, streams=streams),), seconds))["groups"][0]
        asked.append(seen)
        told = f"lost {seen['lost']}, dropped {seen['dropped']}, sent {seen['late_p99_ms']:.1f} ms late"
        print(f"{streams:>6} streams: p99 {seen['p99_ms']:.1f} ms, {told}", flush=True)
        return seen

    def holds(streams: int) -> bool:
        seen = ask(streams)
        # What fails narrowly is asked once more, because other work on the machine comes and goes.
        narrowly = seen["p99_ms"] <= NARROWLY * p99_ms
        return in_time(seen, p99_ms) or (narrowly and in_time(ask(streams), p99_ms))

    def confirmed(streams: int) -> bool:
        proof.clear()
        while len(proof) < rounds and proved(proof, rounds, p99_ms) is not False:
            proof.append(ask(streams))
        return proved(proof, rounds, p99_ms) is True

    found = most(holds, confirmed, first)
    return {
        "streams": found,
        "p99_ms": Spread.of([seen["p99_ms"] for seen in proof or asked]).as_json(),
        "asked": [{key: seen[key] for key in ("streams", "p50_ms", "p99_ms", "lost", "dropped")} for seen in asked],
    }
