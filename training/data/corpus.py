"""All clips of a recipe, from its data set folders: on one skeleton, at the model's rate, with the labels of all sets.

Poses are kept in memory as tensors, frames are mapped from their files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from inkling.models import skeletons
from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.models.clock import step_frames
from inkling.models.errors import SkeletonError
from inkling.models.skeletons import Skeleton
from inkling.training.data.ahead import of_one_label, targets_ahead
from inkling.training.data.frame_dataset import Recording
from inkling.training.data.frame_sets import FrameSets, read_frame_sets, renamed
from inkling.training.data.pictures import Pictures, read_pictures
from inkling.training.data.pose_dataset import CLIPS_FILE, DATASET_FILE, Clip, PoseDataset, Split
from inkling.training.data.pose_sets import (
    LabelledSet,
    inspect_sets,
    label_set,
    meant,
    renamed_sets,
    same_folders,
    untrained_labels,
)
from inkling.training.data.progress_clock import progress_frames
from inkling.training.data.spans import step_targets
from inkling.training.errors import DataError, Problem
from inkling.training.labels import UNLABELLED, target_of, whole_clip_target
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import Source


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A clip as the model sees it, a row per step.

    target: index into labels, UNLABELLED, or a label that is excluded (`labels.anything_but`).

    pose: poses (T, J, C) float32, or frames (T, H, W, 3) uint8, or features of frames (T, F) float32.
    step_targets: (T,) where the target changes within the clip (spans, joined clips, recordings), else None.
    lead: steps before the clip itself, which the model sees but is not measured on.
    answer: the row of the answers (N, K) to whole clips that belongs to this clip, else UNLABELLED.
    step_answers: (T,) where that row changes within the clip, else None.
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
    ahead: int = 0
    """How many steps later the label is from that is the target of a step."""
    present: Tensor | None = None
    """(T,) the label of each step at that moment, where `step_targets` are of `ahead` steps later; else None."""
    further: Mapping[str, Tensor] = field(default_factory=dict)
    """What is given beside the pose, by the name of the input, a row per step: `frame`, pictures (T, H, W, 3) uint8 or
    their features (T, F) float32."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """All clips of a recipe.

    labels: of all data sets together. own_labels: of each data set, the indices of the labels that it has itself.
    repeats: how often an epoch sees the training clips of each data set.
    """

    labels: tuple[str, ...]
    input: PoseInput | FrameInput
    rate_hz: float
    examples: tuple[Example, ...]
    own_labels: dict[str, tuple[int, ...]]
    repeats: dict[str, int]
    origins: tuple[str, ...]
    """A sentence about each data set, for the card."""
    pretraining: Corpus | None = None
    """The labelled training clips of the section `pretraining`, with labels of their own."""
    left_out: tuple[Example, ...] = ()
    """Test clips of labels that the recipe leaves out. In neither `examples` nor the digest: nothing learns them."""
    frame: FrameInput | None = None
    """Of pictures that are given beside the poses."""

    @property
    def inputs(self) -> tuple[PoseInput | FrameInput, ...]:
        """All that a network on these clips is given."""
        return (self.input,) if self.frame is None else (self.input, self.frame)

    @property
    def skeleton(self) -> Skeleton:
        """Of poses. Raises TypeError where the clips are frames."""
        if not isinstance(self.input, PoseInput):
            raise TypeError("frames have no skeleton")
        return self.input.skeleton

    def digest(self) -> str:
        """sha256 over all clips, labels and splits, those of `pretraining` too."""
        what = self.input.skeleton if isinstance(self.input, PoseInput) else self.input
        sha256 = hashlib.sha256(repr((self.labels, self.rate_hz, what)).encode())
        if self.frame is not None:
            sha256.update(repr(self.frame).encode())
        for e in self.examples:
            sha256.update(f"{e.target} {e.source} {e.split} {e.group} {tuple(e.pose.shape)}".encode())
            sha256.update(e.pose.numpy().tobytes())
            if e.step_targets is not None:
                sha256.update(e.step_targets.numpy().tobytes())
            for name, tensor in sorted(e.further.items()):
                sha256.update(f"{name} {tuple(tensor.shape)}".encode() + tensor.numpy().tobytes())
        if self.pretraining is not None:
            sha256.update(self.pretraining.digest().encode())
        return sha256.hexdigest()

    def watched(self) -> dict[str, list[Example]]:
        """The test clips, whole, of each data set that has some which are labelled by step or by what they are not."""
        test = [e for e in self.examples if e.split == "test"]
        by_set = {name: [e for e in test if e.source == name] for name in self.own_labels}
        return {
            name: examples
            for name, examples in by_set.items()
            if any(e.step_targets is not None or e.target < UNLABELLED for e in examples)
        }

    def commonest_label(self, name: str) -> int:
        """The label that most steps of the training clips of a data set are of; of all sets, where it has none."""
        train = [e for e in self.examples if e.split == "train"]
        own = [e for e in train if e.source == name]
        steps = torch.zeros(len(self.labels), dtype=torch.int64)
        for e in own if any(e.target >= 0 for e in own) else train:
            targets = e.present if e.present is not None else e.step_targets
            targets = torch.full((len(e.pose),), e.target) if targets is None else targets
            steps += torch.bincount(targets[targets >= 0], minlength=len(self.labels))
        return int(steps.argmax())

    def tests(self) -> dict[str, list[Example]]:
        """The test clips by data set, in the order of the recipe; sets without any are left out."""
        test = [segment for e in self.examples if e.split == "test" for segment in segments(e)]
        by_set = {name: [e for e in test if e.source == name] for name in self.own_labels}
        return {name: examples for name, examples in by_set.items() if examples}


def segments(example: Example) -> list[Example]:
    """Each labelled stretch of a clip as a clip to be measured on, led in by all that came before it.

    A stretch of which only an excluded label is known is none: it has no right answer.
    """
    if example.step_targets is None:
        return [example] if example.target >= UNLABELLED else []
    targets: list[int] = example.step_targets.tolist()
    stretches, start = [], 0
    for stop in range(1, len(targets) + 1):
        if stop == len(targets) or targets[stop] != targets[start]:
            if targets[start] >= 0:
                seen = at_steps(example, torch.arange(stop), example.pose[:stop])
                stretch = replace(seen, target=targets[start], lead=start)
                stretches.append(replace(stretch, step_targets=None, present=None))
            start = stop
    return stretches


def at_steps(example: Example, steps: Tensor, pose: Tensor) -> Example:
    """The clip with other poses, which show these steps of it; whatever lies beside the poses goes with them."""
    further = {name: tensor[steps] for name, tensor in example.further.items()}
    return replace(example, pose=pose, further=further)


def load_corpus(recipe: Recipe, root: Path | str = ".", labels: Sequence[str] | None = None) -> Corpus:
    """Read all data sets of a recipe, those of `pretraining` too. Raises DataError with all their problems at once.

    labels: of a model that clips of poses are to measure, which may know more than these have. By default the labels
    that the clips train.
    """
    if recipe.frames is not None and recipe.on_frames:
        return _frame_corpus(recipe, read_frame_sets(recipe, recipe.frames, Path(root)), Path(root))
    first = recipe.first
    own, own_problems = inspect_sets(recipe, Path(root))
    others, other_problems = inspect_sets(first, Path(root)) if first is not None else ([], [])
    problems = own_problems + other_problems + same_folders(own, others)
    if problems:
        raise DataError(problems)
    target = skeletons.get(recipe.skeleton) if recipe.skeleton else own[0][1].skeleton
    corpus, problems = _pose_corpus(recipe, own, target, labels)
    if first is not None:
        pretraining, other_problems = _pose_corpus(first, others, target, measured=False)
        corpus, problems = replace(corpus, pretraining=pretraining), problems + other_problems
    problems += _without_future(corpus, recipe, Path(root))
    if problems:
        raise DataError(problems)
    return corpus


def pose_input(skeleton: Skeleton) -> PoseInput:
    """What a bundle on this skeleton takes."""
    return PoseInput(kind="pose", skeleton=skeleton)


def _pose_corpus(
    recipe: Recipe,
    datasets: Sequence[tuple[Source, PoseDataset]],
    target: Skeleton,
    known: Sequence[str] | None = None,
    *,
    measured: bool = True,
) -> tuple[Corpus, list[Problem]]:
    """The clips of data sets on one skeleton, and what is wrong with them. measured False: labelled training clips."""
    sets, problems = renamed_sets(datasets, measured=measured, left_out=recipe.left_out)
    labels = label_set(sets, recipe.background_label) if known is None else tuple(known)
    if len(labels) < 2:
        what = "a recipe" if measured else "pretraining"
        table = datasets[0][1].directory / CLIPS_FILE
        problems.append(Problem(table, None, f"{what} needs clips of at least two labels"))
    index = {label: i for i, label in enumerate(labels)}
    examples: list[Example] = []
    left_out: list[Example] = []
    frame: FrameInput | None = None
    for each in sets:
        problems += untrained_labels(each, labels)
        try:
            to_target = skeletons.mapping(each.dataset.skeleton, target)
        except SkeletonError as error:
            problems.append(Problem(each.dataset.directory / DATASET_FILE, None, str(error)))
            continue
        pictures = None
        if recipe.frames is not None:
            try:
                pictures = read_pictures(each.dataset, recipe.frames, recipe.rate_hz)
            except DataError as error:
                problems += error.problems
                continue
            frame = pictures.input
        examples += _pose_examples(recipe, each, each.clips, to_target, index, pictures)
        left_out += _pose_examples(recipe, each, each.left_out, to_target, index, pictures)
    own = {each.name: tuple(sorted({index[label] for label in meant(each) if label in index})) for each in sets}
    origins = tuple(_origin(each.name, each.dataset.about, each.dataset.terms) for each in sets)
    corpus = Corpus(labels, pose_input(target), recipe.rate_hz, tuple(examples), own, _repeats(recipe), origins)
    return replace(corpus, left_out=tuple(left_out), frame=frame), problems


def _pose_examples(
    recipe: Recipe,
    labelled: LabelledSet,
    clips: Sequence[Clip],
    to_target: skeletons.Mapping,
    index: Mapping[str, int],
    pictures: Pictures | None,
) -> list[Example]:
    """clips: those of the set that are wanted."""
    examples = []
    for clip in clips:
        if not clip.names and clip.split != "train":
            continue  # Renamed to nothing: there is no answer to compare with.
        steps = _steps(clip, recipe)
        pose = torch.from_numpy(to_target.apply(clip.keypoints[steps]))
        group = f"{labelled.groups}/{clip.group}"  # with the set's name: two sets may both number their groups from 1
        target, targets = target_of(clip.label, index), None
        if clip.spans:
            targets = torch.from_numpy(step_targets(clip.spans, clip.pts_s[steps], index))
            target = whole_clip_target(targets.tolist())
        further = {} if pictures is None else {pictures.input.name: pictures.beside(clip, steps)}
        example = Example(pose, target, labelled.name, clip.split, group, targets, path=clip.path, further=further)
        examples.append(foretelling(example, recipe.ahead))
    return examples


def foretelling(example: Example, ahead: int) -> Example:
    """An example whose targets are what is labelled `ahead` steps later. 0: as it is."""
    present = example.step_targets
    if not ahead or present is None or of_one_label(present):
        return replace(example, ahead=ahead)
    targets = targets_ahead(present, torch.arange(len(present)), ahead)
    target = whole_clip_target(targets.tolist())
    return replace(example, target=target, step_targets=targets, ahead=ahead, present=present)


def _without_future(corpus: Corpus, recipe: Recipe, root: Path) -> list[Problem]:
    """A problem for each data set in which nothing is labelled so far ahead."""
    problems = []
    for source in recipe.datasets:
        changing = [e for e in corpus.examples if e.source == source.name and e.present is not None]
        if changing and all(e.target == UNLABELLED for e in changing):
            longest_s = max(len(e.pose) for e in changing) / recipe.rate_hz
            reason = (
                f"lead_s = {recipe.lead_s:g} leads past all that is labelled (the longest recording: {longest_s:.1f} s)"
            )
            problems.append(Problem(root / source.path / CLIPS_FILE, None, reason))
    return problems


def _steps(clip: Clip, recipe: Recipe) -> list[int]:
    """Index of the frame that each step of a clip sees."""
    if recipe.clock == "progress":
        return progress_frames(len(clip.keypoints), recipe.levels)
    return step_frames(clip.pts_s.tolist(), recipe.rate_hz, recipe.bundle.gaps.policy)


def _frame_corpus(recipe: Recipe, sets: FrameSets, root: Path) -> Corpus:
    """As `load_corpus`, for clips of frames or of their features."""
    index = {label: i for i, label in enumerate(sets.labels)}
    recordings = ((source, recording) for source, dataset in sets.datasets for recording in dataset.recordings)
    plain = (_frame_example(recording, source, index) for source, recording in recordings)
    examples = tuple(foretelling(example, recipe.ahead) for example in plain)
    own = {name: tuple(sorted(index[label] for label in labels)) for name, labels in sets.own_labels.items()}
    origins = tuple(_origin(source.name, d.about.about, d.about.terms) for source, d in sets.datasets)
    frame = sets.datasets[0][1].about.input
    corpus = Corpus(sets.labels, frame, recipe.rate_hz, examples, own, _repeats(recipe), origins)
    if problems := _without_future(corpus, recipe, root):
        raise DataError(problems)
    return corpus


def _frame_example(recording: Recording, source: Source, index: Mapping[str, int]) -> Example:
    """A whole recording, with the target of each of its steps."""
    targets = torch.full((len(recording.steps),), UNLABELLED)
    for segment in recording.segments:
        targets[segment.start : segment.stop] = target_of(renamed(segment.label, source), index)
    # Of several segments the last decides what the recording counts as: the others lead up to it.
    target = whole_clip_target(targets.tolist())
    steps, group = torch.from_numpy(recording.steps), f"{source.groups or source.name}/{recording.group}"
    return Example(steps, target, source.name, recording.split, group, targets, path=recording.path)


def _origin(name: str, about: str, terms: str) -> str:
    return " ".join(part for part in (about or name, terms) if part)


def _repeats(recipe: Recipe) -> dict[str, int]:
    return {source.name: source.repeat for source in recipe.datasets}
