"""`inkling train export`."""

from __future__ import annotations

import argparse
from pathlib import Path
from shlex import quote

from rich.console import Console

from inkling.training.cli.options import Verbs, add_seed


def add_verbs(verbs: Verbs) -> None:
    """Add the verb and its options."""
    verb = verbs.add_parser("export", help="write a verified bundle; its card has the run's latest evaluation")
    verb.add_argument("model", type=Path, metavar="RUN")
    verb.add_argument("out", type=Path, metavar="BUNDLES", help="the bundle becomes BUNDLES/NAME/VERSION")
    verb.add_argument("--version", required=True, help="1, or 1.2, or 1.2.3")
    verb.add_argument("--name", help="by default the recipe's")
    verb.add_argument("--precision", default="float32", choices=("float32", "int8"), help="of the step (float32)")
    verb.add_argument("--figures", type=Path, help="further figures for the card, as `warnings --out` writes them")
    add_seed(verb)
    verb.set_defaults(run=_export)


def _export(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.evaluate.evaluation import read_evaluation
    from inkling.training.evaluate.figures import read_figures
    from inkling.training.export.bundle import export
    from inkling.training.run import Run

    run = Run.open(arguments.model)
    measured = run.evaluation_directory(run.chosen(arguments.seed).seed) / "evaluation.json"
    evaluation = read_evaluation(measured)
    if evaluation is None:
        console.print(
            f"the card will have no test figures: {measured} is missing (inkling train evaluate)", markup=False
        )
    figures = read_figures(arguments.figures) if arguments.figures is not None else None
    path = export(
        run, arguments.out, arguments.version,
        name=arguments.name, seed=arguments.seed, evaluation=evaluation, figures=figures,
        precision=arguments.precision,
    )  # fmt: skip
    console.print(f"verified bundle in {path}", markup=False)
    console.print(f"next: inkling serve --bundles {quote(str(arguments.out))}", markup=False)
