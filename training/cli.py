"""`inkling train`: prepare, fit, evaluate, export. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from models.errors import InklingError

EPILOG = """
  inkling train prepare penn labels.zip datasets/penn
  inkling train fit my-recipe.toml --out runs/mine --data datasets
  inkling train evaluate runs/mine --data datasets
  inkling train export runs/mine bundles --version 1
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit code. What training refuses on purpose becomes its sentence on stderr and code 1."""
    # Before torch loads: networks this small meet at a barrier every few microseconds, and threads that spin there
    # are several times slower than one thread as soon as anything else wants a core.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    arguments = _parser().parse_args(argv)
    run: Callable[[argparse.Namespace, Console], None] = arguments.run
    try:
        run(arguments, Console(highlight=False, soft_wrap=True))
    except InklingError as error:
        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="inkling train",
        description="Train, measure and export models on your own clips.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    prepare = verbs.add_parser("prepare", help="turn an official download into a data set folder")
    kinds = prepare.add_subparsers(dest="kind", required=True, metavar="DATASET")
    penn = kinds.add_parser("penn", help="Penn Action: the .tar.gz, a zip of its labels, or the unpacked folder")
    jhmdb14 = kinds.add_parser("jhmdb14", help="JHMDB, puppet joints of 14 classes: the .npz")
    for kind in (penn, jhmdb14):
        kind.add_argument("source", type=Path, metavar="FILE")
        kind.add_argument("out", type=Path, metavar="OUT", help="the data set folder to write")
        kind.set_defaults(run=_prepare)
    jhmdb14.add_argument("--split", type=int, choices=(1, 2, 3), default=1, help="official split (default 1)")

    fit = verbs.add_parser("fit", help="train a recipe: teacher, then distilled student; continues a killed run")
    fit.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file, or the name of a shipped recipe")
    fit.add_argument("--out", type=Path, help="run directory (default runs/NAME)")
    fit.add_argument("--device", default="auto", choices=("auto", "cpu", "gpu"), help="where to compute (default auto)")
    fit.set_defaults(run=_fit)

    evaluate = verbs.add_parser("evaluate", help="accuracy over observation ratios on the test clips, plot, confusion")
    evaluate.add_argument("model", type=Path, metavar="RUN|BUNDLE", help="a run directory, or a bundle NAME/VERSION")
    evaluate.add_argument("--recipe", type=Path, help="of a bundle: whose test clips (default: the one it was made by)")
    evaluate.add_argument("--out", type=Path, help="folder for the files (default: in the run; none for a bundle)")
    evaluate.set_defaults(run=_evaluate)

    export = verbs.add_parser("export", help="write a verified bundle; its card has the run's latest evaluation")
    export.add_argument("model", type=Path, metavar="RUN")
    export.add_argument("out", type=Path, metavar="BUNDLES", help="the bundle becomes BUNDLES/NAME/VERSION")
    export.add_argument("--version", required=True, help="1, or 1.2, or 1.2.3")
    export.add_argument("--name", help="by default the recipe's")
    export.set_defaults(run=_export)

    for verb in (fit, evaluate):
        verb.add_argument("--data", type=Path, default=Path(), help="where data set paths start (default: here)")
    for verb in (evaluate, export):
        verb.add_argument("--seed", type=int, help="by default the seed with the best validation AUC")
    return parser


def _prepare(arguments: argparse.Namespace, console: Console) -> None:
    if arguments.kind == "penn":
        from training.prepare import penn

        count = penn.prepare(arguments.source, arguments.out)
    else:
        from training.prepare import jhmdb14

        count = jhmdb14.prepare(arguments.source, arguments.out, arguments.split)
    console.print(f"{count} clips in {arguments.out}")


def _fit(arguments: argparse.Namespace, console: Console) -> None:
    import torch

    from training.config import read_recipe
    from training.fit import fit

    torch.set_num_threads(min(4, torch.get_num_threads()))  # more only wait for each other
    recipe = read_recipe(arguments.recipe)
    out = arguments.out or Path("runs") / recipe.name
    bar = console.is_terminal
    run = fit(
        recipe, out, arguments.data, device=arguments.device, progress_bar=bar,
        report=lambda line: None if bar and ": epoch " in line else console.print(line, markup=False),
    )  # fmt: skip
    chosen = run.chosen()
    console.print(f"best: seed {chosen.seed}, validation AUC {100 * chosen.student_auc:.1f}, in {out}")


def _evaluate(arguments: argparse.Namespace, console: Console) -> None:
    from training.config import read_recipe
    from training.evaluate import evaluate_bundle, evaluate_run, is_bundle
    from training.report import table, write_report
    from training.run import Run

    out: Path | None = arguments.out
    if is_bundle(arguments.model):
        recipe = read_recipe(arguments.recipe) if arguments.recipe else None
        evaluation = evaluate_bundle(arguments.model, recipe, arguments.data)
    else:
        run = Run.open(arguments.model)
        evaluation = evaluate_run(run, arguments.data, arguments.seed)
        out = out or run.evaluation_directory(run.chosen(arguments.seed).seed)
    console.print(table(evaluation), markup=False)
    if out is not None:
        console.print(f"files in {write_report(evaluation, out)}")


def _export(arguments: argparse.Namespace, console: Console) -> None:
    from training.evaluate import Evaluation
    from training.export import export
    from training.run import Run

    run = Run.open(arguments.model)
    measured = run.evaluation_directory(run.chosen(arguments.seed).seed) / "evaluation.json"
    evaluation = Evaluation.model_validate_json(measured.read_text(encoding="utf-8")) if measured.exists() else None
    if evaluation is None:
        console.print(f"the card will have no test figures: {measured} is missing (inkling train evaluate)")
    path = export(
        run, arguments.out, arguments.version, name=arguments.name, seed=arguments.seed, evaluation=evaluation
    )
    console.print(f"verified bundle in {path}")


if __name__ == "__main__":
    sys.exit(main())
