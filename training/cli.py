"""`inkling train`: from data sets to bundles. Heavy imports wait until a verb needs them."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from inkling.models.errors import InklingError
from inkling.training.study import cli as study_cli

if TYPE_CHECKING:
    from inkling.training.prepare.decode import Plan

EPILOG = """
  inkling train prepare penn labels.zip datasets/penn
  inkling train prepare videos my-videos datasets/mine --height 96 --width 128 --rate 10
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
    clips = kinds.add_parser("videos", help="your own: class folders of videos, or a folder with clips.csv")
    urfall = kinds.add_parser("urfall", help="UR Fall: its folder; writes OUT/urfall and five folds")
    for kind in (penn, jhmdb14, clips, urfall):
        kind.add_argument("source", type=Path, metavar="FILE" if kind in (penn, jhmdb14) else "DIR")
        kind.add_argument("out", type=Path, metavar="OUT", help="the data set folder to write")
        kind.set_defaults(run=_prepare if kind in (penn, jhmdb14) else _prepare_videos)
    for kind in (clips, urfall):
        kind.add_argument("--recipe", type=Path, help="prepare what this recipe's [frames] and rate_hz ask for")
        kind.add_argument("--height", type=int, default=96, help="of the frames to keep (default 96)")
        kind.add_argument("--width", type=int, default=128, help="of the frames to keep (default 128)")
        kind.add_argument("--rate", type=float, default=10.0, help="frames a second to keep (default 10)")
        kind.add_argument("--fit", default="letterbox", choices=("letterbox", "stretch", "crop"), help="(letterbox)")
        kind.add_argument("--workers", type=int, help="processes (default one per core)")
    clips.add_argument("--broken", default="fail", choices=("fail", "skip"), help="a video that cannot be decoded")
    jhmdb14.add_argument(
        "--split", choices=("1", "2", "3", "all"), default="1",
        help="official split (default 1); all: OUT-1, OUT-2 and OUT-3",
    )  # fmt: skip

    calibrate = verbs.add_parser("calibrate", help="set the calibration and the promises of a finished run anew")
    calibrate.add_argument("model", type=Path, metavar="RUN")
    calibrate.set_defaults(run=_calibrate)

    weights = verbs.add_parser("weights", help="fetch published weights of a backbone; continues a broken off one")
    weights.add_argument("name", nargs="?", metavar="NAME", help="without it: the names that there are")
    weights.set_defaults(run=_weights)

    fit = verbs.add_parser("fit", help="train a recipe: teacher, then distilled student; continues a killed run")
    fit.add_argument("recipe", type=Path, metavar="RECIPE", help="a TOML file, or the name of a shipped recipe")
    fit.add_argument("--out", type=Path, help="run directory (default runs/NAME)")
    fit.add_argument(
        "--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute (default auto)"
    )
    fit.set_defaults(run=_fit)

    study = study_cli.add_verb(verbs)

    evaluate = verbs.add_parser("evaluate", help="accuracy over observation ratios on the test clips, plot, confusion")
    evaluate.add_argument("model", type=Path, metavar="RUN|BUNDLE", help="a run directory, or a bundle NAME/VERSION")
    evaluate.add_argument("--recipe", type=Path, help="of a bundle: whose test clips (default: the one it was made by)")
    evaluate.add_argument("--out", type=Path, help="folder for the files (default: in the run; none for a bundle)")
    evaluate.set_defaults(run=_evaluate)

    warnings = verbs.add_parser("warnings", help="how early, and with how many false alarms, over the folds of a label")
    warnings.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the runs of folds 1, 2, ... in this order")
    warnings.add_argument("--folds", type=Path, required=True, help="folder of the folds' data: FOLDS/1, FOLDS/2, ...")
    warnings.add_argument("--of", required=True, help="label in clips.csv of what to warn of before it ends")
    warnings.add_argument("--only", default="", help="count only events of recordings with this in their name")
    warnings.add_argument("--out", type=Path, help="write the figures there, for export --figures")
    warnings.set_defaults(run=_warnings)

    export = verbs.add_parser("export", help="write a verified bundle; its card has the run's latest evaluation")
    export.add_argument("model", type=Path, metavar="RUN")
    export.add_argument("out", type=Path, metavar="BUNDLES", help="the bundle becomes BUNDLES/NAME/VERSION")
    export.add_argument("--version", required=True, help="1, or 1.2, or 1.2.3")
    export.add_argument("--name", help="by default the recipe's")
    export.add_argument("--precision", default="float32", choices=("float32", "int8"), help="of the step (float32)")
    export.add_argument("--figures", type=Path, help="further figures for the card, as `warnings --out` writes them")
    export.set_defaults(run=_export)

    for verb in (fit, study, evaluate, calibrate):
        verb.add_argument("--data", type=Path, default=Path(), help="where data set paths start (default: here)")
    for verb in (evaluate, export):
        verb.add_argument("--seed", type=int, help="by default the seed with the best validation AUC")
    return parser


def _prepare(arguments: argparse.Namespace, console: Console) -> None:
    if arguments.kind == "penn":
        from inkling.training.prepare import penn

        count = penn.prepare(arguments.source, arguments.out)
    else:
        from inkling.training.prepare import jhmdb14

        if arguments.split == "all":
            for split in jhmdb14.SPLITS:
                out = arguments.out.with_name(f"{arguments.out.name}-{split}")
                console.print(f"{jhmdb14.prepare(arguments.source, out, split)} clips in {out}")
            return
        count = jhmdb14.prepare(arguments.source, arguments.out, int(arguments.split))
    console.print(f"{count} clips in {arguments.out}")


def _prepare_videos(arguments: argparse.Namespace, console: Console) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from inkling.training.prepare import urfall, videos

    plan = _plan(arguments)
    columns = (TextColumn("prepare"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("prepare", total=None)

        def progress(done: int, total: int, said: str) -> None:
            bar.update(task, completed=done, total=total)
            if said:
                console.print(said, markup=False)

        if arguments.kind == "urfall":
            done = urfall.prepare(arguments.source, arguments.out, plan, progress=progress, workers=arguments.workers)
        else:
            done = videos.prepare(
                arguments.source, arguments.out, plan,
                broken=arguments.broken, workers=arguments.workers, progress=progress,
            )  # fmt: skip
    skipped = f", {len(done.skipped)} broken ones left out" if done.skipped else ""
    console.print(f"{done.recordings} recordings in {arguments.out}, {done.made} of them new{skipped}")


def _plan(arguments: argparse.Namespace) -> Plan:
    """What to prepare: as the recipe says, which fit will then accept, or as the options do."""
    from inkling.training.errors import ConfigError
    from inkling.training.prepare.decode import Plan
    from inkling.training.prepare.videos import plan_of
    from inkling.training.recipe.recipe import read_recipe

    if arguments.recipe is None:
        return Plan(arguments.height, arguments.width, arguments.fit, arguments.rate)
    recipe = read_recipe(arguments.recipe)
    if recipe.frames is None:
        raise ConfigError(f"recipe {recipe.name} is on poses")
    return plan_of(recipe.frames, recipe.rate_hz)


def _weights(arguments: argparse.Namespace, console: Console) -> None:
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from inkling.training.errors import ConfigError
    from inkling.training.networks.published import PUBLISHED, fetch, weights_folder

    if arguments.name is None:
        for name, published in PUBLISHED.items():
            there = "fetched" if (weights_folder() / published.file).exists() else published.url
            console.print(f"{name}: {published.about}; {there}", markup=False)
        return
    if arguments.name not in PUBLISHED:
        raise ConfigError(f"no weights are known as {arguments.name!r}; there are {', '.join(PUBLISHED)}")
    with Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(arguments.name, total=None)
        path = fetch(
            PUBLISHED[arguments.name],
            progress=lambda done, total: bar.update(task, completed=done, total=total or None),
        )
    console.print(str(path), markup=False)


def _warnings(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.evaluate.early_warning import measure_folds
    from inkling.training.files import write_text
    from inkling.training.run import Run

    figures = measure_folds([Run.open(run) for run in arguments.runs], arguments.folds, arguments.of, arguments.only)
    console.print(figures.text, markup=False)
    if arguments.out is not None:
        write_text(arguments.out, figures.model_dump_json(indent=2) + "\n")


def _fit(arguments: argparse.Namespace, console: Console) -> None:
    import torch

    from inkling.training.fit import fit
    from inkling.training.recipe.recipe import read_recipe

    torch.set_num_threads(min(4, torch.get_num_threads()))  # more only wait for each other
    recipe = read_recipe(arguments.recipe)
    out = arguments.out or Path("runs") / recipe.name
    run = fit(
        recipe, out, arguments.data, device=arguments.device,
        report=lambda line: console.print(line, markup=False),
    )  # fmt: skip
    chosen = run.chosen()
    console.print(f"best: seed {chosen.seed}, validation AUC {100 * chosen.student_auc:.1f}, in {out}")


def _calibrate(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.calibrate.validation import recalibrate
    from inkling.training.run import Run

    recalibrate(Run.open(arguments.model), arguments.data, lambda line: console.print(line, markup=False))


def _evaluate(arguments: argparse.Namespace, console: Console) -> None:
    from inkling.training.evaluate.evaluation import evaluate_bundle, evaluate_run, is_bundle
    from inkling.training.evaluate.report import sections, write_report
    from inkling.training.recipe.recipe import read_recipe
    from inkling.training.run import Run

    out: Path | None = arguments.out
    if is_bundle(arguments.model):
        recipe = read_recipe(arguments.recipe) if arguments.recipe else None
        evaluation = evaluate_bundle(arguments.model, recipe, arguments.data)
    else:
        run = Run.open(arguments.model)
        evaluation = evaluate_run(run, arguments.data, arguments.seed)
        out = out or run.evaluation_directory(run.chosen(arguments.seed).seed)
    console.print("\n".join(sections(evaluation)), markup=False)
    if out is not None:
        console.print(f"files in {write_report(evaluation, out)}")


def _export(arguments: argparse.Namespace, console: Console) -> None:
    from pydantic import ValidationError

    from inkling.training.errors import ConfigError
    from inkling.training.evaluate.evaluation import Evaluation
    from inkling.training.evaluate.figures import Figures
    from inkling.training.export.bundle import export
    from inkling.training.run import Run

    run = Run.open(arguments.model)
    measured = run.evaluation_directory(run.chosen(arguments.seed).seed) / "evaluation.json"
    try:
        text = measured.read_text(encoding="utf-8") if measured.exists() else None
        evaluation = None if text is None else Evaluation.model_validate_json(text)
    except ValidationError:
        raise ConfigError(f"{measured} is of another release: run inkling train evaluate again") from None
    if evaluation is None:
        console.print(f"the card will have no test figures: {measured} is missing (inkling train evaluate)")
    figures = None
    if arguments.figures is not None:
        figures = Figures.model_validate_json(arguments.figures.read_text(encoding="utf-8"))
    path = export(
        run, arguments.out, arguments.version,
        name=arguments.name, seed=arguments.seed, evaluation=evaluation, figures=figures,
        precision=arguments.precision,
    )  # fmt: skip
    console.print(f"verified bundle in {path}")


if __name__ == "__main__":
    sys.exit(main())
