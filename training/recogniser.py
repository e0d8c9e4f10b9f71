"""The recognition run that an anticipating one learns from and is compared with: read, checked, and kept in the run.

RUN/recogniser/             a small run directory of its own: run.json and its best seed's student.pt and result.json

The copy is what a continued fit goes on with and what the evaluation compares with, whatever becomes of the original.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.models.networks import CausalNetwork
from inkling.training.errors import ConfigError
from inkling.training.files import write_text
from inkling.training.networks.weights import extractor_id
from inkling.training.recipe.recipe import Recipe
from inkling.training.run import RESULT_FILE, RUN_FILE, Run

FOLDER = "recogniser"
WEIGHTS_FILE = "student.pt"
Takes = Sequence[PoseInput | FrameInput]
"""All inputs of a network, the joints first where it has them."""


def find_recogniser(
    recipe: Recipe, out: Path | str, labels: tuple[str, ...], takes: Takes, root: Path | str
) -> Run | None:
    """The recogniser of a recipe: the copy in its run directory `out`, else the run that it names; None without one.

    labels, takes: of the recipe's clips. root: where a relative path of the recipe starts. Raises ConfigError where
    there is no such run, and where it is none that this recipe can learn from.
    """
    wanted = recipe.recogniser
    if wanted is None:
        return None
    found = kept_recogniser(Run(Path(out), recipe)) or Run.open(Path(root) / wanted.run)
    check_recogniser(found, recipe, labels, takes)
    return found


def keep_recogniser(run: Run, found: Run | None) -> CausalNetwork | None:
    """The student of a recogniser, which is copied into a run that learns from it; None without one."""
    if found is None:
        return None
    if kept_recogniser(run) is None:
        _keep(found, run.directory / FOLDER)
    return found.student(found.chosen())


def kept_recogniser(run: Run) -> Run | None:
    """The copy of a run's recogniser; None where it has none."""
    folder = run.directory / FOLDER
    return Run.open(folder) if (folder / RUN_FILE).exists() else None


def check_recogniser(other: Run, recipe: Recipe, labels: tuple[str, ...], takes: Takes) -> None:
    """Raise ConfigError unless another run is a recogniser of the same labels, inputs and rate as a recipe's models."""
    result = other.chosen()
    if other.recipe.task != "recognition":
        raise ConfigError(f'{other.directory} anticipates itself; a recogniser is a run of task = "recognition"')
    if result.labels != labels:
        different = ", ".join(sorted(set(result.labels) ^ set(labels)))
        raise ConfigError(f"{other.directory} knows other labels than recipe {recipe.name}: {different}")
    if other.recipe.rate_hz != recipe.rate_hz or [*map(_shown, result.inputs)] != [*map(_shown, takes)]:
        raise ConfigError(f"{other.directory} has another rate, skeleton or size of frames than recipe {recipe.name}")
    seen, asked = other.recipe.frames, recipe.frames
    if seen and asked and asked.frozen and extractor_id(seen) != extractor_id(asked):
        raise ConfigError(f"{other.directory} sees pictures through another backbone than recipe {recipe.name}")
    wanted = recipe.recogniser
    if wanted is None:
        return
    if wanted.states > 0 and _hidden(other.recipe) != _hidden(recipe):
        have, need = _hidden(other.recipe), _hidden(recipe)
        raise ConfigError(
            f"{other.directory} has {have} hidden units and the student {need}: recogniser.states needs equal"
        )
    alike = ("network", "student", "two_stage", "poses", "frames")
    if wanted.begin and any(getattr(other.recipe, part) != getattr(recipe, part) for part in alike):
        raise ConfigError(f"{other.directory} is another network: recogniser.begin needs the same {', '.join(alike)}")


def _keep(other: Run, folder: Path) -> None:
    """Copy a run and its chosen seed, all or nothing."""
    result, scratch = other.chosen(), folder.with_suffix(".partial")
    shutil.rmtree(scratch, ignore_errors=True)
    copy = Run(scratch, other.recipe)
    seed = copy.seed_directory(result.seed)
    seed.mkdir(parents=True)
    shutil.copy2(other.seed_directory(result.seed) / WEIGHTS_FILE, seed / WEIGHTS_FILE)
    write_text(seed / RESULT_FILE, result.model_dump_json(indent=2) + "\n")
    shutil.copy2(other.directory / RUN_FILE, scratch / RUN_FILE)
    scratch.replace(folder)


def _hidden(recipe: Recipe) -> int:
    """Units of the recurrent layer that answers."""
    return recipe.two_stage.hidden if recipe.network == "two_stage" else recipe.student.hidden


def _shown(takes: PoseInput | FrameInput) -> object:
    """What is compared of an input."""
    return takes.skeleton.joints if isinstance(takes, PoseInput) else (takes.shape, takes.fit)
