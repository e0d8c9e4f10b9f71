"""The data sets of a recipe on frames: read, compared with what the recipe asks for, with their labels.

A label that a recipe renames to nothing makes a segment unlabelled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inkling.models.networks import FrameConfig
from inkling.training.data.frame_dataset import ClipDataset, inspect
from inkling.training.data.pose_dataset import CLIPS_FILE, DATASET_FILE
from inkling.training.errors import DataError, Problem
from inkling.training.labels import NOT, name_of
from inkling.training.networks.weights import extractor_id
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import Source


@dataclass(frozen=True, slots=True)
class FrameSets:
    """labels: trained on in any of the sets, in alphabetical order. own_labels: of each set, by its name."""

    datasets: tuple[tuple[Source, ClipDataset], ...]
    labels: tuple[str, ...]
    own_labels: dict[str, set[str]]


def read_frame_sets(recipe: Recipe, frames: FrameConfig, root: Path) -> FrameSets:
    """frames: the recipe's section. Raises DataError with all problems of the data sets."""
    inspected = [(source, *inspect(root / source.path)) for source in recipe.datasets]
    datasets = tuple((source, dataset) for source, dataset, _ in inspected if dataset is not None)
    problems = [problem for _, _, found in inspected for problem in found]
    problems += [problem for _, dataset in datasets for problem in _unlike_recipe(dataset, recipe, frames)]
    if problems:
        raise DataError(problems)
    own = {source.name: _labels(source, dataset) for source, dataset in datasets}
    named = {name for source, dataset in datasets for name in _labels(source, dataset, excluded=True)}
    trained = {label for source, dataset in datasets for label in _labels(source, dataset, trained=True)}
    trained |= {recipe.background_label} if recipe.background_label else set()
    table = datasets[0][1].directory / CLIPS_FILE
    if len(trained) < 2:
        problems.append(Problem(table, None, "a recipe needs clips of at least two labels"))
    for label in sorted(set().union(named, *own.values()) - trained):
        problems.append(Problem(table, None, f"label {label!r} has no training clip"))
    if problems:
        raise DataError(problems)
    return FrameSets(datasets, tuple(sorted(trained)), own)


def renamed(label: str | None, source: Source) -> str:
    """A segment's label as the recipe calls it; empty: unlabelled."""
    return source.rename.get(label or "", label or "")


def _labels(source: Source, dataset: ClipDataset, *, trained: bool = False, excluded: bool = False) -> set[str]:
    """The labels that a data set has. trained: in training recordings. excluded: those of which it has anything but."""
    recordings = [r for r in dataset.recordings if r.split == "train" or not trained]
    labels = {segment.label for recording in recordings for segment in recording.segments if segment.label}
    new = {renamed(label, source) for label in labels} - {""}
    return {name_of(label) for label in new if label.startswith(NOT) == excluded}


def _unlike_recipe(dataset: ClipDataset, recipe: Recipe, frames: FrameConfig) -> Iterator[Problem]:
    """What was prepared otherwise than the recipe asks for."""
    about, table = dataset.about, dataset.directory / DATASET_FILE
    if (about.height, about.width, about.fit) != (frames.height, frames.width, frames.fit):
        have = f"{about.height} x {about.width}, {about.fit}"
        asked = f"{frames.height} x {frames.width}, {frames.fit}"
        yield Problem(table, None, f"prepared as {have}; the recipe says {asked}")
    if about.rate_hz != recipe.rate_hz:
        yield Problem(table, None, f"prepared at {about.rate_hz:g} Hz, not at {recipe.rate_hz:g}")
    if about.kind == "features" and about.extractor != extractor_id(frames):
        reason = f"features of {about.extractor!r}; the recipe asks for {extractor_id(frames)!r}"
        yield Problem(table, None, reason)
