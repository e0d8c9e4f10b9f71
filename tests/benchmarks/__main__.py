"""Every benchmark of the service, one after the other: `python -m tests.benchmarks [NAME ...]`.

Prints each one's table and, as the last line, one JSON object with the result of each by name.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
HELPERS = {"__init__", "__main__", "load"}
"""Modules here that are not benchmarks themselves."""
LONG = {"soak"}
"""Run only when named."""


def names() -> list[str]:
    """Benchmarks by name."""
    return sorted(
        path.stem for path in HERE.glob("*.py") if path.stem not in HELPERS and not path.stem.endswith("_load")
    )


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
    parser.add_argument("name", nargs="*", choices=[[], *names()], help="default: all but the long ones")
    wish = parser.parse_args()
    results = {}
    for name in wish.name or sorted(set(names()) - LONG):
        about = (importlib.import_module(f"tests.benchmarks.{name}").__doc__ or "").splitlines()[0]
        print(f"-- {name}: {about}", flush=True)
        results[name] = run(name)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
