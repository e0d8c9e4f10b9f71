"""`inkling train fit`."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote

from rich.console import Console

from inkling.training.cli.options import Verbs, add_changes, add_device


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its options."""
    verb = verbs.add_parser("fit", help="train a recipe: teacher, then distilled student; continues a killed run")
    verb.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file, or the name of a shipped recipe")
    verb.add_argument("--out", type=Path, help="run directory (default runs/NAME)")
    verb.add_argument("--data", type=Path, default=Path(), help="where data set paths start (default: here)")
    add_changes(verb)
    add_device(verb)
    verb.set_defaults(run=_fit)


def _fit(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.cli.progress import limit_threads, shown_progress
    from inkling.training.fit import fit
    from inkling.training.recipe.recipe import read_recipe

    recipe = read_recipe(arguments.recipe, arguments.changes)
    out = arguments.out or Path("runs") / recipe.name
    limit_threads()
    with shown_progress(console) as bar:
        run = fit(
            recipe, out, arguments.data,
            device=arguments.device, devices=arguments.devices, report=bar.report, progress=bar.of_run,
        )  # fmt: skip
    chosen = run.chosen()
    console.print(f"best: seed {chosen.seed}, validation AUC {100 * chosen.student_auc:.1f}, in {out}", markup=False)
    console.print(f"next: inkling train evaluate {quote(str(out))}", markup=False)
