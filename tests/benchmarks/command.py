"""What every benchmark is: something to measure, and rows that say what was found beside what was wanted."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.figures import Spread, table
from tests.benchmarks.proc import otherwise_busy
from tests.benchmarks.processes import end_in_order, machine

ROUNDS, SECONDS = 5, 2.0
QUIET = 0.1
"""Share of the machine's time that other work may take before the figures are called disturbed."""

Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. target: what was to be reached, "" for a figure that is only stated; met: whether it is."""

    what: str
    found: str
    target: str = ""
    met: bool | None = None

    @classmethod
    def at_least(cls, what: str, found: Spread, least: float, form: str = ".2f", unit: str = "") -> Row:
        return cls(what, f"{found:{form}}{unit}", f"≥ {least:g}{unit}", found.median >= least)

    @classmethod
    def at_most(cls, what: str, found: Spread, most: float, form: str = ".2f", unit: str = "") -> Row:
        return cls(what, f"{found:{form}}{unit}", f"≤ {most:g}{unit}", found.median <= most)

    def cells(self) -> tuple[str, str, str, str]:
        return self.what, self.found, self.target, {None: "", True: "met", False: "missed"}[self.met]


@dataclass(frozen=True, slots=True)
class Benchmark:
    """measure(rounds, seconds): rounds of all contestants in turns, each loaded for so many seconds. rows: of its
    result. drawing: of its result, for a terminal. options: more of the command's, which `measure` takes by name."""

    name: str
    about: str
    measure: Callable[..., Result]
    rows: Callable[[Result], Sequence[Row]]
    drawing: Callable[[Result], str] = lambda result: ""
    options: argparse.ArgumentParser | None = None

    def run(self) -> None:
        """As a command: a table, then one line of JSON."""
        more = [] if self.options is None else [self.options]
        parser = argparse.ArgumentParser(description=self.about.splitlines()[0], parents=more)
        parser.add_argument("--rounds", type=int, default=ROUNDS, help="medians are of so many")
        parser.add_argument("--seconds", type=float, default=SECONDS, help="that each load lasts")
        wish = vars(parser.parse_args())
        rounds, seconds = wish.pop("rounds"), wish.pop("seconds")
        end_in_order()
        busy = otherwise_busy()
        result = self.measure(rounds, seconds, **wish)
        busy = max(busy, otherwise_busy())
        if drawn := self.drawing(result):
            print(drawn)
        print(table(("what", "median (least to greatest)", "target", ""), [row.cells() for row in self.rows(result)]))
        if busy > QUIET:
            print(f"The machine was busy with other work ({busy:.0%}): expect less than it can do, and a wide spread.")
        about = {"benchmark": self.name, "machine": machine(), "rounds": rounds, "otherwise_busy": busy}
        print(json.dumps({**about, **result}))


def spread(found: dict[str, float]) -> Spread:
    """What `Spread.as_json` wrote."""
    return Spread(found["median"], found["low"], found["high"])
