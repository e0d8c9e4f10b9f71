"""Attacks on a real server, with a healthy stream beside each.

    python -m tests.attacks [--only WORD] [--short] [--list] [--save]

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

from tests.attacks import addresses, clips, films, floods, messages, pictures, waiting
from tests.attacks.attack import P99_MS, PEAK_MIB, Attack, Verdict, launch
from tests.attacks.beside import solo_run
from tests.attacks.report import COLUMNS, RESULTS, cells, keep
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
    *addresses.ATTACKS,
)


def run(attacks: Iterable[Attack], *, save: bool = False) -> list[Verdict]:
    """One after the other; a line on stderr for each, as it ends."""
    verdicts = []
    with tempfile.TemporaryDirectory() as name:
        solo = solo_run(Path(name))
    for attack in attacks:
        verdicts.append(launch(attack, solo))
        if save:
            keep(verdicts[-1].as_json(), [attack.name for attack in ATTACKS])
        sys.stderr.write(" | ".join(cells(verdicts[-1].as_json())) + "\n")
    return verdicts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", help="attacks whose name has this")
    parser.add_argument("--short", action="store_true", help="those that `make test` runs")
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULTS.name} for the docs")
    parser.add_argument("--list", action="store_true", help="print the names")
    args = parser.parse_args()
    chosen = [attack for attack in ATTACKS if args.only in attack.name and (attack.short or not args.short)]
    if args.list:
        print("\n".join(attack.name for attack in chosen))
        return
    end_in_order()
    busy = otherwise_busy()
    verdicts = run(chosen, save=args.save)
    rows = [verdict.as_json() for verdict in verdicts]
    broken = sum(bool(row["broken"]) for row in rows)
    bounds = {"peak_mb": PEAK_MIB, "p99_ms": P99_MS}
    result = {"attacks": rows, "bounds": bounds, "otherwise_busy": busy, "machine": machine()}
    print(table(COLUMNS, [cells(row) for row in rows]))
    print(f"\n{len(rows) - broken} of {len(rows)} within bounds")
    print(json.dumps(result))
    if broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
