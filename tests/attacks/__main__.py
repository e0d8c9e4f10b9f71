"""Attacks on a real server, with a healthy stream beside each.

    python -m tests.attacks [--only WORD] [--short] [--list]

For each attack a fresh server with both shipped bundles; beside the attacker a healthy stream at 30 Hz, in a process of
its own, whose predictions are compared with its solo run, bit by bit. Bounds: peak memory 600 MB with all children,
p99 250 ms, no wrong prediction, an answer or an end for the attacker, no traceback, nothing `internal`.
The last line is JSON. Ends with 1 when a bound did not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.attacks import clips, films, floods, messages, pictures, waiting
from tests.attacks.attack import P99_MS, PEAK_MIB, Attack, Verdict, launch
from tests.attacks.beside import solo_run
from tests.benchmarks.figures import table
from tests.benchmarks.proc import otherwise_busy
from tests.benchmarks.processes import end_in_order, machine

ATTACKS: tuple[Attack, ...] = (
    *clips.ATTACKS,
    *pictures.ATTACKS,
    *messages.ATTACKS,
    *floods.ATTACKS,
    *waiting.ATTACKS,
    *films.ATTACKS,
)
COLUMNS = ("attack", "peak MB", "p99 ms", "silence ms", "wrong", "the attacker got", "within bounds")


def row(verdict: Verdict) -> tuple[str, ...]:
    got = ", ".join(f"{what} x {count}" if count > 1 else what for what, count in verdict.got.most_common(4))
    seen, broken = verdict.seen, verdict.broken()
    return (
        verdict.name,
        f"{verdict.peak_mib:.0f}",
        f"{seen.p99_ms:.0f}",
        f"{seen.silence_ms:.0f}",
        f"{seen.wrong} of {seen.predictions}",
        got or "nothing",
        "yes" if not broken else "no: " + "; ".join(broken),
    )


def run(attacks: Iterable[Attack]) -> list[Verdict]:
    """One after the other; a line on stderr for each, as it ends."""
    verdicts = []
    with tempfile.TemporaryDirectory() as name:
        solo = solo_run(Path(name))
    for attack in attacks:
        verdicts.append(launch(attack, solo))
        sys.stderr.write(" | ".join(row(verdicts[-1])) + "\n")
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="attacks whose name has this")
    parser.add_argument("--short", action="store_true", help="those that `make test` runs")
    parser.add_argument("--list", action="store_true", help="print the names")
    args = parser.parse_args()
    chosen = [attack for attack in ATTACKS if args.only in attack.name and (attack.short or not args.short)]
    if args.list:
        print("\n".join(attack.name for attack in chosen))
        return
    end_in_order()
    busy = otherwise_busy()
    verdicts = run(chosen)
    print(table(COLUMNS, [row(verdict) for verdict in verdicts]))
    broken = sum(bool(verdict.broken()) for verdict in verdicts)
    print(f"\n{len(verdicts) - broken} of {len(verdicts)} within bounds")
    bounds = {"peak_mb": PEAK_MIB, "p99_ms": P99_MS}
    rows = [verdict.as_json() for verdict in verdicts]
    print(json.dumps({"attacks": rows, "bounds": bounds, "otherwise_busy": busy, "machine": machine()}))
    if broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
