"""The pose data sets of a recipe: read, with their labels as the recipe renames them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inkling.training.data.pose_dataset import CLIPS_FILE, Clip, PoseDataset, inspect
from inkling.training.errors import Problem
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import Source


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A data set and those of its clips that are used, each with its label after renaming; empty: unlabelled."""

    name: str
    dataset: PoseDataset
    clips: tuple[tuple[Clip, str], ...]


def inspect_sets(recipe: Recipe, root: Path) -> tuple[list[tuple[Source, PoseDataset]], list[Problem]]:
    """The data sets of a recipe that can be read, and the problems of the others."""
    inspected = [(source, *inspect(root / source.path, source.occluded)) for source in recipe.datasets]
    datasets = [(source, dataset) for source, dataset, _ in inspected if dataset is not None]
    return datasets, [problem for _, _, problems in inspected for problem in problems]


def same_folders(
    own: Sequence[tuple[Source, PoseDataset]], others: Sequence[tuple[Source, PoseDataset]]
) -> list[Problem]:
    """A problem for each data set of `pretraining` that is one of the recipe's own by another path."""
    folders = {dataset.directory.resolve() for _, dataset in own}
    reason = "is a data set of the recipe itself; pretraining is on others"
    return [Problem(d.directory, None, reason) for _, d in others if d.directory.resolve() in folders]


def renamed_sets(
    datasets: Sequence[tuple[Source, PoseDataset]], *, measured: bool
) -> tuple[list[LabelledSet], list[Problem]]:
    """The data sets with the recipe's labels, and a problem for each renamed label that no clip has.

    measured: all clips are used, else the training clips that have a label.
    """
    sets, problems = [], []
    for source, dataset in datasets:
        unknown = source.rename.keys() - {clip.label for clip in dataset.clips}
        table = dataset.directory / CLIPS_FILE
        problems += [Problem(table, None, f"the recipe renames {old!r}, no clip has it") for old in sorted(unknown)]
        clips = [(clip, source.rename.get(clip.label or "", clip.label or "")) for clip in dataset.clips]
        if not measured:
            clips = [(clip, label) for clip, label in clips if label and clip.split == "train"]
        sets.append(LabelledSet(source.name, dataset, tuple(clips)))
    return sets, problems


def label_set(sets: Sequence[LabelledSet], background: str | None) -> tuple[str, ...]:
    """The labels that are trained on in any of the sets, and the background's, in alphabetical order."""
    trained = {label for each in sets for clip, label in each.clips if label and clip.split == "train"}
    return tuple(sorted(trained | ({background} if background else set())))


def untrained_labels(labelled: LabelledSet, labels: Sequence[str]) -> Iterator[Problem]:
    """The first clip of every label that is validated or tested, but is none of the trained `labels`."""
    reported: set[str] = set()
    for clip, label in labelled.clips:
        if label and label not in labels and label not in reported:
            reported.add(label)
            yield Problem(labelled.dataset.directory / CLIPS_FILE, clip.row, f"label {label!r} has no training clip")
