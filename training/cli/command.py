"""The command itself: its verbs, and what becomes of errors."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from inkling.models.errors import InklingError
from inkling.training.cli import calibrate, evaluate, export, export_people, fit, new, prepare, upgrade, weights
from inkling.training.study import cli as study_cli

EPILOG = """
from a folder of your own clips to a model that is served, in one command:

  inkling train new my-videos
  inkling serve --bundles my-videos-model/bundles

the same step by step:

  inkling train prepare videos my-videos datasets/mine
  inkling train fit datasets/mine.toml --out runs/mine --data datasets
  inkling train evaluate runs/mine
  inkling train export runs/mine bundles --version 1
  inkling serve --bundles bundles
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code. What training refuses on purpose becomes its sentence on stderr and code 1."""
    # Before torch loads: networks this small meet at a barrier every few microseconds, and threads that spin there
    # are several times slower than one thread as soon as anything else wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    arguments = parser().parse_args(argv)
    run: Callable[[argparse.Namespace, Console], None] = arguments.run
    try:
        run(arguments, Console(highlight=False, soft_wrap=True))
    except InklingError as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    whole = argparse.ArgumentParser(
        prog="inkling train",
        description="Train, measure and export models on your own clips.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = whole.add_subparsers(dest="verb", required=True, metavar="VERB")
    for group in (new, prepare, fit, evaluate, export, export_people, calibrate, weights, upgrade):
        group.add_verbs(verbs)
    study = study_cli.add_verb(verbs)
    study.add_argument("--data", type=Path, default=Path(), help="where data set paths start (default: here)")
    return whole
