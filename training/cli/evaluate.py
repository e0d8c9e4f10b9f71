"""`inkling train evaluate` and `inkling train warnings`: how good a model is."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote

from rich.console import Console

from inkling.training.cli.options import Verbs, add_data, add_seed


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs and their options."""
    verb = verbs.add_parser("evaluate", help="how early a model is right on test clips; writes report.html")
    verb.add_argument("model", type=Path, metavar="RUN|BUNDLE", help="a run directory, or a bundle NAME/VERSION")
    verb.add_argument("--recipe", type=Path, help="of a bundle: whose test clips (default: the one it was made by)")
    verb.add_argument("--out", type=Path, help="folder for the files (default: in the run; none for a bundle)")
    verb.add_argument(
        "--recogniser", type=Path, metavar="RUN",
        help="of a model that says what comes: the run to compare it with (default: the one it learned from)",
    )  # fmt: skip
    add_data(verb)
    add_seed(verb)
    verb.set_defaults(run=_evaluate)

    verb = verbs.add_parser("warnings", help="how early, and with how many false alarms, over the folds of a label")
    verb.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the runs of folds 1, 2, ... in this order")
    verb.add_argument("--folds", type=Path, required=True, help="folder of the folds' data: FOLDS/1, FOLDS/2, ...")
    verb.add_argument("--of", required=True, help="label in clips.csv of what to warn of before it ends")
    verb.add_argument("--only", default="", help="count only events of recordings with this in their name")
    verb.add_argument("--out", type=Path, help="write the figures there, for export --figures")
    verb.set_defaults(run=_warnings)


def _evaluate(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.evaluate.evaluation import evaluate_bundle, evaluate_run, is_bundle
    from inkling.training.evaluate.report import REPORT_FILE, sections, write_report
    from inkling.training.recipe.recipe import read_recipe
    from inkling.training.run import Run

    out: Path | None = arguments.out
    if is_bundle(arguments.model):
        recipe = read_recipe(arguments.recipe) if arguments.recipe else None
        evaluation = evaluate_bundle(arguments.model, recipe, arguments.data or Path(), arguments.recogniser)
    else:
        run = Run.open(arguments.model)
        evaluation = evaluate_run(run, run.data_root(arguments.data), arguments.seed, arguments.recogniser)
        out = out or run.evaluation_directory(run.chosen(arguments.seed).seed)
    console.print("\n".join(sections(evaluation)), markup=False)
    if out is not None:
        console.print(f"report in {write_report(evaluation, out) / REPORT_FILE}", markup=False)
    if not is_bundle(arguments.model):
        console.print(f"next: inkling train export {quote(str(arguments.model))} bundles --version 1", markup=False)


def _warnings(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.evaluate.early_warning import measure_folds
    from inkling.training.files import write_text
    from inkling.training.run import Run

    figures = measure_folds([Run.open(run) for run in arguments.runs], arguments.folds, arguments.of, arguments.only)
    console.print(figures.text, markup=False)
    if arguments.out is not None:
        write_text(arguments.out, figures.model_dump_json(indent=2) + "\n")
