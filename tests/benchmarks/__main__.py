"""The benchmarks that need nothing but this checkout, one after the other: `python -m tests.benchmarks [NAME ...]`.

    python -m tests.benchmarks                                                       # about a quarter of an hour
    python -m tests.benchmarks --rounds 1 --seconds 1 throughput capacity            # a glance
    python -m tests.benchmarks --markdown tests/benchmarks/README.md                 # and write the figures down

Prints each one's table and, as the last line, one JSON object with the result of each by name. `--markdown FILE` writes
them into FILE between its markers, the same JSON beside it as results.json, and a plot as latency.png; results of
benchmarks that did not run this time are kept. The other modules here need data or an hour, and say at their head how
they are run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.command import ROUNDS, SECONDS
from tests.benchmarks.processes import end_in_order

TELL = "-- "


def run(name: str, flags: list[str]) -> dict[str, Any] | None:
    """Run one in a process of its own, so that none finds the other's threads and memory; its output passes through.
    None when it failed."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", *flags]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if last:
                    print(last, end="", flush=True)
                last = line
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        print(f"{last}{TELL}{name} failed with exit code {process.returncode}", flush=True)
        return None
    found: dict[str, Any] = json.loads(last)
    return found


def own_flags(options: argparse.ArgumentParser | None, wish: argparse.Namespace) -> list[str]:
    """What was given of the options that a benchmark has for itself."""
    names = [] if options is None else list(vars(options.parse_args([])))
    given = ((name, getattr(wish, name)) for name in names)
    return [part for name, value in given if value is not None for part in (f"--{name.replace('_', '-')}", str(value))]


def main() -> None:
    named = {name: report.benchmark(name) for name in report.NAMES}
    more = [options for found in named.values() if (options := found.options) is not None]
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0], parents=more)
    parser.add_argument("name", nargs="*", choices=[[], *report.NAMES], help=f"default: {', '.join(report.NAMES)}")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="medians are of so many")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that each load lasts")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the figures into this file")
    wish = parser.parse_args()
    flags = ["--rounds", str(wish.rounds), "--seconds", str(wish.seconds)]
    given = {name: own_flags(found.options, wish) for name, found in named.items()}
    end_in_order()
    results = {}
    for name in wish.name or report.NAMES:
        about = named[name].about.splitlines()[0]
        print(f"{TELL}{name}: {about}", flush=True)
        if (found := run(name, flags + given[name])) is not None:
            results[name] = found
            if wish.markdown:
                report.write(wish.markdown, results)
    print(json.dumps(results))
    if len(results) < len(wish.name or report.NAMES):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
