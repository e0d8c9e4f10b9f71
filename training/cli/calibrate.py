"""`inkling train calibrate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from inkling.training.cli.options import Verbs, add_data


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its options."""
    verb = verbs.add_parser("calibrate", help="set the calibration and the promises of a finished run anew")
    verb.add_argument("model", type=Path, metavar="RUN")
    add_data(verb)
    verb.set_defaults(run=_calibrate)


def _calibrate(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.calibrate.validation import recalibrate
    from inkling.training.run import Run

    run = Run.open(arguments.model)
    recalibrate(run, run.data_root(arguments.data), lambda line: console.print(line, markup=False))
