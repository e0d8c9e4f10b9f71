"""The benchmarks that need nothing but this checkout, one after the other: `python -m tests.benchmarks [NAME ...]`.

Prints each one's table and, as the last line, one JSON object with the result of each by name. The other modules here
need data or an hour, and say at their head how they are run.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from typing import Any

BENCHMARKS = ("serving", "video")


def run(name: str) -> dict[str, Any]:
    """Run one in a process of its own, so that none finds the other's threads and memory; its output passes through."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}"]
    last = ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if last:
                print(last, end="", flush=True)
            last = line
    if process.returncode:
        raise SystemExit(f"{name} failed with exit code {process.returncode}")
    found: dict[str, Any] = json.loads(last)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="*", choices=[[], *BENCHMARKS], help=f"default: {', '.join(BENCHMARKS)}")
    wish = parser.parse_args()
    results = {}
    for name in wish.name or BENCHMARKS:
        about = (importlib.import_module(f"tests.benchmarks.{name}").__doc__ or "").splitlines()[0]
        print(f"-- {name}: {about}", flush=True)
        results[name] = run(name)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
