"""All clips of a recipe, from its data set folders: mapped onto one skeleton, at the model's rate, with joint labels.

Poses are kept in memory as tensors, frames are mapped from their files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from inkling.models import skeletons
from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.models.clock import step_frames
from inkling.models.errors import SkeletonError
from inkling.models.skeletons import Skeleton
from inkling.training.data import frame_dataset
from inkling.training.data.pose_dataset import CLIPS_FILE, DATASET_FILE, Clip, PoseDataset, Split, inspect
from inkling.training.data.progress_clock import progress_frames
from inkling.training.errors import DataError, Problem
from inkling.training.labels import UNLABELLED
from inkling.training.networks.weights import extractor_id
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import Source


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A clip as the model sees it, a row per step. target: index into labels or UNLABELLED.

    pose: poses (T, J, C) float32, or frames (T, H, W, 3) uint8, or features of frames (T, F) float32.
    step_targets: (T,) where the target changes within the clip (joined clips, recordings), else None.
    lead: steps before the clip itself, which the model sees but is not measured on.
    answer: which of the teachers' answers to whole clips is to this one, else UNLABELLED; step_answers: (T,) where that
    changes within the clip.
    """

    pose: Tensor
    target: int
    source: str
    split: Split
    group: str
    step_targets: Tensor | None = None
    lead: int = 0
    answer: int = UNLABELLED
    step_answers: Tensor | None = None
    path: str = ""
    """As in `clips.csv`, to name the clip in reports."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """All clips of a recipe. `labels` is the joint label set; `own_labels` those that each data set itself has."""

    labels: tuple[str, ...]
    input: PoseInput | FrameInput
    rate_hz: float
    examples: tuple[Example, ...]
    own_labels: dict[str, tuple[int, ...]]
    repeats: dict[str, int]
    origins: tuple[str, ...]
    """A sentence about each data set, for the card."""
    pretraining: Corpus | None = None
    """What is learned first: the labelled training clips of other data sets, with labels of their own."""

    @property
    def skeleton(self) -> Skeleton:
        """Of poses. Raises TypeError where the clips are frames."""
        if not isinstance(self.input, PoseInput):
            raise TypeError("frames have no skeleton")
        return self.input.skeleton

    def digest(self) -> str:
        """sha256 over all clips, labels and splits, those that are learned first too."""
        what = self.input.skeleton if isinstance(self.input, PoseInput) else self.input
        found = hashlib.sha256(repr((self.labels, self.rate_hz, what)).encode())
        for e in self.examples:
            found.update(f"{e.target} {e.source} {e.split} {e.group} {tuple(e.pose.shape)}".encode())
            found.update(e.pose.numpy().tobytes())
            if e.step_targets is not None:
                found.update(e.step_targets.numpy().tobytes())
        if self.pretraining is not None:
            found.update(self.pretraining.digest().encode())
        return found.hexdigest()

    def tests(self) -> dict[str, list[Example]]:
        """The test clips by data set, in the order of the recipe; sets without any are left out."""
        test = [segment for e in self.examples if e.split == "test" for segment in segments(e)]
        found = {name: [e for e in test if e.source == name] for name in self.own_labels}
        return {name: examples for name, examples in found.items() if examples}


def segments(example: Example) -> list[Example]:
    """Each labelled stretch of a clip as a clip to be measured on, led in by all that came before it."""
    if example.step_targets is None:
        return [example]
    targets: list[int] = example.step_targets.tolist()
    found, start = [], 0
    for stop in range(1, len(targets) + 1):
        if stop == len(targets) or targets[stop] != targets[start]:
            if targets[start] != UNLABELLED:
                pose = example.pose[:stop]
                found.append(replace(example, pose=pose, target=targets[start], step_targets=None, lead=start))
            start = stop
    return found


def load_corpus(recipe: Recipe, root: Path | str = ".") -> Corpus:
    """Read all data sets of a recipe, also what it learns first. Raises DataError with all their problems at once."""
    if recipe.frames is not None:
        return _load_frames(recipe, Path(root))
    first = recipe.first
    own, own_problems = _inspected(recipe, Path(root))
    others, other_problems = _inspected(first, Path(root)) if first is not None else ([], [])
    problems = own_problems + other_problems + _same_folders(own, others)
    if problems:
        raise DataError(problems)
    target = skeletons.get(recipe.skeleton) if recipe.skeleton else own[0][1].skeleton
    corpus, problems = _mapped(recipe, own, target)
    if first is not None:
        pretraining, other_problems = _mapped(first, others, target, measured=False)
        corpus, problems = replace(corpus, pretraining=pretraining), problems + other_problems
    if problems:
        raise DataError(problems)
    return corpus


def _inspected(recipe: Recipe, root: Path) -> tuple[list[tuple[Source, PoseDataset]], list[Problem]]:
    """The data sets of a recipe that can be read, and the problems of the others."""
    found = [(source, *inspect(root / source.path, source.occluded)) for source in recipe.datasets]
    datasets = [(source, dataset) for source, dataset, _ in found if dataset is not None]
    return datasets, [problem for _, _, problems in found for problem in problems]


def _same_folders(
    own: Sequence[tuple[Source, PoseDataset]], others: Sequence[tuple[Source, PoseDataset]]
) -> list[Problem]:
    """Of the data sets to be learned first, those that are the recipe's own by another path."""
    folders = {dataset.directory.resolve() for _, dataset in own}
    reason = "is a data set of the recipe itself; pretraining is on others"
    return [Problem(d.directory, None, reason) for _, d in others if d.directory.resolve() in folders]


def _mapped(
    recipe: Recipe, datasets: Sequence[tuple[Source, PoseDataset]], target: Skeleton, *, measured: bool = True
) -> tuple[Corpus, list[Problem]]:
    """The clips of data sets on one skeleton, and what is wrong with them. measured False: labelled training clips."""
    problems: list[Problem] = []
    named: list[tuple[str, PoseDataset, list[tuple[Clip, str]]]] = []
    for source, dataset in datasets:
        have = {clip.label for clip in dataset.clips}
        for old in source.rename.keys() - have:
            problems.append(
                Problem(dataset.directory / CLIPS_FILE, None, f"the recipe renames {old!r}, no clip has it")
            )
        pairs = [(clip, source.rename.get(clip.label or "", clip.label or "")) for clip in dataset.clips]
        wanted = pairs if measured else [(clip, label) for clip, label in pairs if label and clip.split == "train"]
        named.append((source.name, dataset, wanted))
    background = recipe.background_label
    trained = {label for _, _, pairs in named for clip, label in pairs if label and clip.split == "train"}
    trained |= {background} if background else set()
    labels = tuple(sorted(trained))
    if len(labels) < 2:
        table, what = datasets[0][1].directory / CLIPS_FILE, "a recipe" if measured else "pretraining"
        problems.append(Problem(table, None, f"{what} needs clips of at least two labels"))
    index = {label: i for i, label in enumerate(labels)}
    examples: list[Example] = []
    for name, dataset, pairs in named:
        problems += _untrained(dataset, pairs, trained)
        try:
            to_target = skeletons.mapping(dataset.skeleton, target)
        except SkeletonError as error:
            problems.append(Problem(dataset.directory / DATASET_FILE, None, str(error)))
            continue
        for clip, label in pairs:
            if not label and clip.split != "train":
                continue  # renamed to nothing: no answer to compare with
            frames = _steps(clip, recipe)
            pose = torch.from_numpy(to_target.apply(clip.keypoints[frames]))
            # prefix by set: two sets may both number their groups from 1
            target_index = index.get(label, UNLABELLED)
            examples.append(Example(pose, target_index, name, clip.split, f"{name}/{clip.group}", path=clip.path))
    own = {name: tuple(sorted({index[label] for _, label in pairs if label in index})) for name, _, pairs in named}
    origins = tuple(" ".join(part for part in (d.about or name, d.terms) if part) for name, d, _ in named)
    repeats = {source.name: source.repeat for source in recipe.datasets}
    return Corpus(labels, pose_input(target), recipe.rate_hz, tuple(examples), own, repeats, origins), problems


def _steps(clip: Clip, recipe: Recipe) -> list[int]:
    """Index of the frame that each step of a clip sees."""
    if recipe.clock == "progress":
        return progress_frames(len(clip.keypoints), recipe.levels)
    return step_frames(clip.pts_s.tolist(), recipe.rate_hz, recipe.bundle.gaps.policy)


def pose_input(skeleton: Skeleton) -> PoseInput:
    """What a bundle on this skeleton takes."""
    return PoseInput(kind="pose", skeleton=skeleton)


def _load_frames(recipe: Recipe, root: Path) -> Corpus:
    """As `load_corpus`, for clips of frames or of their features. Renamed to nothing: unlabelled."""
    found = [(source, *frame_dataset.inspect(root / source.path)) for source in recipe.datasets]
    problems = [problem for _, _, found_problems in found for problem in found_problems]
    datasets = [(source, dataset) for source, dataset, _ in found if dataset is not None]
    wanted = recipe.frames
    assert wanted is not None  # noqa: S101  # the caller has looked
    for _, dataset in datasets:
        about, table = dataset.about, dataset.directory / DATASET_FILE
        if (about.height, about.width, about.fit) != (wanted.height, wanted.width, wanted.fit):
            have = f"{about.height} x {about.width}, {about.fit}"
            asked = f"{wanted.height} x {wanted.width}, {wanted.fit}"
            problems.append(Problem(table, None, f"prepared as {have}; the recipe says {asked}"))
        if about.rate_hz != recipe.rate_hz:
            problems.append(Problem(table, None, f"prepared at {about.rate_hz:g} Hz, not at {recipe.rate_hz:g}"))
        if about.kind == "features" and about.extractor != extractor_id(wanted):
            reason = f"features of {about.extractor!r}; the recipe asks for {extractor_id(wanted)!r}"
            problems.append(Problem(table, None, reason))
    if problems:
        raise DataError(problems)
    labelled: dict[str, set[str]] = {}
    for source, dataset in datasets:
        used = {s.label for recording in dataset.recordings for s in recording.segments if s.label}
        labelled[source.name] = {source.rename.get(label, label) for label in used} - {""}
    trained = {
        source.rename.get(s.label, s.label)
        for source, dataset in datasets for r in dataset.recordings if r.split == "train"
        for s in r.segments if s.label
    } - {""} | ({recipe.background_label} if recipe.background_label else set())  # fmt: skip
    labels = tuple(sorted(trained))
    table = datasets[0][1].directory / CLIPS_FILE
    if len(labels) < 2:
        problems.append(Problem(table, None, "a recipe needs clips of at least two labels"))
    for label in sorted(set().union(*labelled.values()) - trained):
        problems.append(Problem(table, None, f"label {label!r} has no training clip"))
    if problems:
        raise DataError(problems)
    index = {label: i for i, label in enumerate(labels)} | {"": UNLABELLED}
    examples = []
    for source, dataset in datasets:
        for recording in dataset.recordings:
            targets = torch.full((len(recording.steps),), UNLABELLED)
            for segment in recording.segments:
                label = segment.label or ""
                targets[segment.start : segment.stop] = index[source.rename.get(label, label)]
            # of several segments the last decides where the recording goes: it is what the others lead to
            target = next((t for t in reversed(targets.tolist()) if t != UNLABELLED), UNLABELLED)
            steps = torch.from_numpy(recording.steps)
            group = f"{source.name}/{recording.group}"
            examples.append(Example(steps, target, source.name, recording.split, group, targets, path=recording.path))
    own = {name: tuple(sorted(index[label] for label in found_labels)) for name, found_labels in labelled.items()}
    origins = tuple(" ".join(p for p in (d.about.about or s.name, d.about.terms) if p) for s, d in datasets)
    repeats = {source.name: source.repeat for source in recipe.datasets}
    frame = datasets[0][1].about.input
    return Corpus(labels, frame, recipe.rate_hz, tuple(examples), own, repeats, origins)


def _untrained(dataset: PoseDataset, pairs: Sequence[tuple[Clip, str]], trained: set[str]) -> Iterator[Problem]:
    """The first clip of every label that is validated or tested but never trained."""
    reported: set[str] = set()
    for clip, label in pairs:
        if label and label not in trained | reported:
            reported.add(label)
            yield Problem(dataset.directory / CLIPS_FILE, clip.row, f"label {label!r} has no training clip")
