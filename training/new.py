"""From a folder of clips to a verified bundle in one call: look, write a recipe, prepare, fit, measure, export.

DIR.toml                     the recipe, beside the folder: written where there is none, else used as it is
OUT/NAME/                    the prepared clips
OUT/run/                     the run, with the report in seed-N/evaluation/report.html
OUT/bundles/NAME/1/          the bundle

Each step goes on where an earlier call was broken off, and is skipped where it is done.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inkling.models.bundle import load
from inkling.models.bundle.schema import SPEC_FILE
from inkling.training.data import pose_dataset
from inkling.training.data.frame_dataset import Row, read_rows
from inkling.training.data.pose_dataset import CLIPS_FILE, DATASET_FILE
from inkling.training.distill.devices import resolve_device
from inkling.training.errors import ConfigError, DataError, Problem
from inkling.training.evaluate.evaluation import evaluate_run, read_evaluation
from inkling.training.evaluate.report import REPORT_FILE, write_report
from inkling.training.export.bundle import export
from inkling.training.files import write_text
from inkling.training.fit import fit
from inkling.training.prepare import poses, videos
from inkling.training.prepare.decode import Plan
from inkling.training.prepare.poses import POSE_ENDINGS
from inkling.training.prepare.source_rows import VIDEO_ENDINGS, find_rows
from inkling.training.prepare.splits import with_test_split
from inkling.training.prepare.starter import frame_recipe, pose_recipe, recipe_name
from inkling.training.prepare.videos import plan_of
from inkling.training.prepare.workers import VideoDone
from inkling.training.progress import RunProgress
from inkling.training.recipe.recipe import Recipe, read_recipe
from inkling.training.run import Run

PLAN = Plan(96, 128, "letterbox", 10.0)
"""What is kept of videos, where no recipe says otherwise."""
VERSION = "1"
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NewModel:
    """What lies where afterwards. report: None where there were no test clips to measure on."""

    recipe: Path
    run: Path
    bundles: Path
    bundle: Path
    report: Path | None


def new_model(
    source: Path,
    out: Path | None = None,
    *,
    name: str | None = None,
    changes: Sequence[str] = (),
    device: str = "auto",
    devices: int = 1,
    report: Report = lambda line: None,
    video_done: VideoDone = lambda done, total, said: None,
    progress: RunProgress | None = None,
) -> NewModel:
    """Train a model on the clips of a folder.

    source: class folders of videos, or a data set folder of poses. out: by default `SOURCE-model`, beside it. name: of
    the model, by default the folder's. changes: keys of the recipe (`recipe.changes`). Raises TrainingError.
    """
    source = source.resolve()
    out = out.resolve() if out is not None else source.with_name(f"{source.name}-model")
    changes = [*changes, *([f"name={recipe_name(name)}"] if name else [])]
    name = recipe_name(name or source.name)
    computed_on = resolve_device(device, devices)
    of_poses = (source / DATASET_FILE).is_file()
    recipe_path = source.with_name(f"{source.name}.toml")
    if recipe_path.exists():
        report(f"recipe: {recipe_path}, as it is")
    else:
        rows = with_test_split(find_rows(source, POSE_ENDINGS if of_poses else VIDEO_ENDINGS)).rows
        _write_recipe(recipe_path, _starter(source, name, rows, of_poses))
        report(f"recipe: {recipe_path}, written to begin with")
    recipe = read_recipe(recipe_path, changes)
    _prepare(source, out, recipe, of_poses, report, video_done)
    run = fit(recipe, out / "run", out, device=computed_on, devices=devices, report=report, progress=progress)
    measured = _evaluate(run, report)
    bundles = out / "bundles"
    bundle = _export(run, bundles, report)
    return NewModel(recipe_path, run.directory, bundles, bundle, measured)


def _write_recipe(path: Path, text: str) -> None:
    try:
        write_text(path, text)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}); copy the folder to where you may write"
        ) from error


def _starter(source: Path, name: str, rows: Sequence[Row], of_poses: bool) -> str:
    if not of_poses:
        return frame_recipe(name, name, rows, PLAN)
    try:
        about = tomllib.loads((source / DATASET_FILE).read_text(encoding="utf-8"))
        fps = pose_dataset.DatasetFile.model_validate(about).fps
    except (OSError, ValueError) as error:
        raise DataError([Problem(source / DATASET_FILE, None, f"cannot be read: {error}")]) from error
    return pose_recipe(name, name, rows, fps)


def _prepare(source: Path, out: Path, recipe: Recipe, of_poses: bool, report: Report, video_done: VideoDone) -> None:
    """Prepare the clips into the folder that the recipe names, below `out`."""
    if len(recipe.datasets) != 1 or recipe.datasets[0].path.is_absolute():
        raise ConfigError(f"recipe {recipe.name} has not one data set below {out}: use inkling train fit for it")
    folder = out / recipe.datasets[0].path
    if of_poses:
        done = poses.prepare(source, folder)
        report(f"clips: {len(done.dataset.clips)} in {folder}")
        split = done.split
    else:
        if recipe.frames is None:
            raise ConfigError(f"recipe {recipe.name} is on poses, and {source} holds videos: give it a section frames")
        prepared = videos.prepare(source, folder, plan_of(recipe.frames, recipe.rate_hz), progress=video_done)
        report(f"clips: {videos.summary(prepared, folder)}")
        split = prepared.split
    if split:
        report(split)


def _evaluate(run: Run, report: Report) -> Path | None:
    """Measure the run's best student on its test clips, if there are any."""
    out = run.evaluation_directory(run.chosen().seed)
    page = out / REPORT_FILE
    if not page.exists():
        rows, _ = read_rows(run.data_root() / run.recipe.datasets[0].path / CLIPS_FILE)
        if not any(row.split == "test" for row in rows):
            report("not measured: there are no test clips")
            return None
        write_report(evaluate_run(run), out)
    return page


def _export(run: Run, bundles: Path, report: Report) -> Path:
    """Export the run's best student, unless that is done."""
    path = bundles / run.recipe.name / VERSION
    if (path / SPEC_FILE).exists():
        load(path)  # raises BundleError where it is broken
        return path
    seed = run.chosen().seed
    evaluation = read_evaluation(run.evaluation_directory(seed) / "evaluation.json")
    return export(run, bundles, VERSION, evaluation=evaluation)
