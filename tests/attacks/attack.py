"""What an attack is, how one is run, and which bounds must hold under it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.attacks.beside import Seen, beside
from tests.attacks.server import Victim, victim

PEAK_MIB = 600
P99_MS = 250
LEAST_S = 3.0
"""For which the healthy stream is watched, so that a stall after the attack is seen too."""

Got = Counter[str]
"""What became of the attackers: `413 too_large`, `1009 too_large`, `closed`, `200`, and how often."""

HANGS = "no answer"
"""Neither an answer nor an end within the time of the attack."""
SHUT_OUT = "newcomer shut out"
"""Somebody honest was not served because of the attack."""
REACHED = "reached this machine"
"""A source led where none may."""
HARM = (HANGS, SHUT_OUT, REACHED, "internal")


@dataclass(frozen=True, slots=True)
class Attack:
    """One attack. run: does it, against a running server, within `seconds` or soon after.

    flags: of the server beside the usual ones, `{directory}` is one of its own. short: takes part in `make test`.
    paused: the server itself stands still for a while, so that latency means nothing. form: of the log.
    """

    name: str
    run: Callable[[Victim], Got]
    flags: tuple[str, ...] = ()
    short: bool = False
    paused: bool = False
    form: str = "json"
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """What was measured under one attack."""

    name: str
    peak_mib: float
    seen: Seen
    got: Got
    internal: int
    tracebacks: int
    foreign_lines: int
    killed: bool
    alive: bool
    seconds: float
    paused: bool = False

    def broken(self, p99_ms: float = P99_MS) -> list[str]:
        """The bounds that did not hold, in words; empty when all did."""
        harm = {what: count for what, count in self.got.items() if any(word in what for word in HARM)}
        checks = {
            f"peak {self.peak_mib:.0f} MB": self.peak_mib > PEAK_MIB,
            "killed": self.killed,
            "not ready afterwards": not self.alive,
            f"{self.seen.wrong} wrong": self.seen.wrong > 0,
            f"stream lost ({self.seen.failure})": bool(self.seen.failure),
            f"p99 {self.seen.p99_ms:.0f} ms": not self.paused and self.seen.p99_ms > p99_ms,
            ", ".join(f"{what} x {count}" for what, count in harm.items()): bool(harm),
            f"{self.internal} internal": self.internal > 0,
            f"{self.tracebacks} tracebacks": self.tracebacks > 0,
            f"{self.foreign_lines} foreign log lines": self.foreign_lines > 0,
        }
        return [what for what, fails in checks.items() if fails]

    def as_json(self) -> dict[str, Any]:
        return {
            "attack": self.name,
            "peak_mb": round(self.peak_mib),
            "p99_ms": self.seen.p99_ms,
            "silence_ms": self.seen.silence_ms,
            "predictions": self.seen.predictions,
            "wrong": self.seen.wrong,
            "got": dict(self.got),
            "seconds": round(self.seconds, 1),
            "broken": self.broken(),
        }


def launch(attack: Attack, solo: Mapping[int, NDArray[np.float32]]) -> Verdict:
    """Run an attack against a fresh server, with a healthy stream beside it. Raises AttackFailed."""
    with victim(*attack.flags, form=attack.form, environment=attack.environment) as target:
        with beside(target, solo) as seen:
            begin_s = time.monotonic()
            try:
                got = attack.run(target)
            except OSError as error:  # the server is gone
                got = Counter([f"closed ({type(error).__name__})"])
            seconds = time.monotonic() - begin_s
            time.sleep(max(LEAST_S - seconds, 0))
        alive, errors = target.alive(), target.errors()
    log = target.log
    return Verdict(
        name=attack.name,
        peak_mib=target.memory.peak_mib,
        seen=seen,
        got=got,
        internal=errors.get("internal", 0),
        tracebacks=len(log.tracebacks),
        foreign_lines=len(log.foreign) + len(log.raw_escapes),
        killed=target.memory.killed,
        alive=alive,
        seconds=seconds,
        paused=attack.paused,
    )
