"""The pose data sets of a recipe: read, with their labels as the recipe renames them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inkling.training.data.pose_dataset import CLIPS_FILE, Clip, PoseDataset, inspect
from inkling.training.errors import Problem
from inkling.training.labels import NOT, name_of
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import Source


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A data set and those of its clips that are used, with their labels and spans as the recipe renames them."""

    name: str
    groups: str
    """Where the names of its groups count: in this set, or in all that have the same text."""
    dataset: PoseDataset
    clips: tuple[Clip, ...]
    left_out: tuple[Clip, ...] = ()
    """Test clips of labels that the recipe leaves out."""


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
    datasets: Sequence[tuple[Source, PoseDataset]], *, measured: bool, left_out: Sequence[str] = ()
) -> tuple[list[LabelledSet], list[Problem]]:
    """The data sets with the recipe's labels, and a problem for each label to be renamed or left out that no clip has.

    measured: all clips are used, else the training clips that have a label.
    """
    sets, problems, missing = [], [], set(left_out)
    for source, dataset in datasets:
        unknown = source.rename.keys() - {name for clip in dataset.clips for name in clip.names}
        table = dataset.directory / CLIPS_FILE
        problems += [Problem(table, None, f"the recipe renames {old!r}, no clip has it") for old in sorted(unknown)]
        clips = [_renamed(clip, source.rename) for clip in dataset.clips]
        missing -= {clip.label for clip in clips if clip.label}
        tested = tuple(clip for clip in clips if clip.label in left_out and clip.split == "test")
        clips = [clip for clip in clips if clip.label not in left_out]
        if not measured:
            clips = [clip for clip in clips if clip.names and clip.split == "train"]
        sets.append(LabelledSet(source.name, source.groups or source.name, dataset, tuple(clips), tested))
    if missing:
        table = datasets[0][1].directory / CLIPS_FILE
        problems += [
            Problem(table, None, f"unknown.left_out has {label!r}, no clip has it") for label in sorted(missing)
        ]
    return sets, problems


def label_set(sets: Sequence[LabelledSet], background: str | None) -> tuple[str, ...]:
    """The labels that are trained on in any of the sets, and the background's, in alphabetical order."""
    trained = {label for each in sets for label in meant(each, trained=True)}
    return tuple(sorted(trained | ({background} if background else set())))


def meant(labelled: LabelledSet, *, trained: bool = False) -> set[str]:
    """The labels that the clips of a set have, not those that they exclude. trained: its training clips only."""
    clips = [clip for clip in labelled.clips if clip.split == "train" or not trained]
    labels = {label for clip in clips for label in (clip.label, *(span.label for span in clip.spans)) if label}
    return {label for label in labels if not label.startswith(NOT)}


def untrained_labels(labelled: LabelledSet, labels: Sequence[str]) -> Iterator[Problem]:
    """The first clip of every label that is validated, tested or excluded, but is none of the trained `labels`."""
    reported: set[str] = set()
    for clip in labelled.clips:
        for label in sorted(clip.names - set(labels) - reported):
            reported.add(label)
            yield Problem(labelled.dataset.directory / CLIPS_FILE, clip.row, f"label {label!r} has no training clip")


def _renamed(clip: Clip, rename: Mapping[str, str]) -> Clip:
    """A clip with the recipe's labels; without those that it renames to nothing."""
    label = _new_name(clip.label, rename)
    spans = [replace(span, label=new) for span in clip.spans if (new := _new_name(span.label, rename))]
    return replace(clip, label=label or None, spans=tuple(spans))


def _new_name(label: str | None, rename: Mapping[str, str]) -> str:
    """What a recipe calls a label, which may exclude one: `!fall`. Empty: nothing is known."""
    name = name_of(label or "")
    new = rename.get(name, name)
    if not (label or "").startswith(NOT):
        return new
    # what is anything but X, X being called 'anything but Y', is known to be nothing
    return "" if not new or new.startswith(NOT) else NOT + new
