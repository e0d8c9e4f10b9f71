"""From data set folders to what a fit eats: mapped, resampled, labelled, split by group, batched.

Poses are kept in memory as tensors at the model's rate, frames are mapped from their files; all randomness follows
from (seed, epoch, clip), so that a resumed run draws what an uninterrupted one would have drawn.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler

from models import skeletons
from models.bundle.schema import FrameInput, PoseInput
from models.clock import step_frames
from models.errors import SkeletonError
from models.skeletons import Skeleton
from training import clips
from training.config import Recipe
from training.dataset import CLIPS_FILE, DATASET_FILE, PoseDataset, Split, inspect
from training.errors import DataError, Problem
from training.idle import idle_clips
from training.streams import UNLABELLED, join
from training.weights import extractor_id

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""A clip (T, J, C) and a source of randomness -> another clip that could have been, (T', J, C), T' >= 1.

Frames (T, H, W, 3) keep their number: their windows have been cut before.
"""


@dataclass(frozen=True, slots=True)
class Joining:
    """How often a training clip follows the end of another one, in steps of the model (see `training.streams`)."""

    chance: float
    longest: int
    passage: int


@dataclass(frozen=True, slots=True)
class Windows:
    """Training on windows of recordings, `steps` long, played at 1 / speed to speed times their speed."""

    steps: int
    speed: float

    def cut(self, example: Example, random: torch.Generator) -> Example:
        """A window from anywhere in a recording; where that ends too early its last frame is held, without a label."""
        draws = torch.rand(2, generator=random).tolist()
        pace, last = self.speed ** (2 * draws[0] - 1), len(example.pose) - 1
        start = draws[1] * max(0.0, last - (self.steps - 1) * pace)
        places = start + pace * torch.arange(self.steps)
        rows = places.round().long().clamp(max=last)
        targets = torch.full((len(example.pose),), example.target)
        if example.step_targets is not None:
            targets = example.step_targets
        targets = torch.where(places < last + 0.5, targets[rows], UNLABELLED)
        return replace(example, pose=example.pose[rows], step_targets=targets)


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """A clip as the model sees it, a row per step. target: index into labels or UNLABELLED.

    pose: poses (T, J, C) float32, or frames (T, H, W, 3) uint8, or features of frames (T, F) float32.
    step_targets: (T,) where the target changes within the clip (joined clips, recordings), else None.
    lead: steps before the clip itself, which the model sees but is not measured on.
    """

    pose: Tensor
    target: int
    source: str
    split: Split
    group: str
    step_targets: Tensor | None = None
    lead: int = 0


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

    @property
    def skeleton(self) -> Skeleton:
        """Of poses. Raises TypeError where the clips are frames."""
        if not isinstance(self.input, PoseInput):
            raise TypeError("frames have no skeleton")
        return self.input.skeleton

    def digest(self) -> str:
        """sha256 over all clips, labels and splits."""
        what = self.input.skeleton if isinstance(self.input, PoseInput) else self.input
        found = hashlib.sha256(repr((self.labels, self.rate_hz, what)).encode())
        for e in self.examples:
            found.update(f"{e.target} {e.source} {e.split} {e.group} {tuple(e.pose.shape)}".encode())
            found.update(e.pose.numpy().tobytes())
            if e.step_targets is not None:
                found.update(e.step_targets.numpy().tobytes())
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


@dataclass(frozen=True, slots=True)
class Batch:
    """x: (B, T, J, C) float32, zero beyond each clip's length. lengths, targets: (B,) int64.

    step_targets: (B, T) int64, each clip's target at each of its steps, UNLABELLED where it has none.
    leads: (B,) int64, steps before each clip itself; None where there are none at all.
    """

    x: Tensor
    lengths: Tensor
    targets: Tensor
    step_targets: Tensor
    leads: Tensor | None = None

    @property
    def weight(self) -> Tensor:
        """(B, T): 1 within a clip, 0 in its padding."""
        steps = torch.arange(self.x.shape[1], device=self.lengths.device)
        return (steps < self.lengths[:, None]).to(torch.float32)

    def to(self, device: torch.device) -> Batch:
        leads = None if self.leads is None else self.leads.to(device)
        return Batch(
            self.x.to(device), self.lengths.to(device), self.targets.to(device), self.step_targets.to(device), leads
        )


def load_corpus(recipe: Recipe, root: Path | str = ".") -> Corpus:
    """Read all data sets of a recipe. Raises DataError with the problems of all of them at once."""
    if recipe.frames is not None:
        return _load_frames(recipe, Path(root))
    found = [(source, *inspect(Path(root) / source.path, source.occluded)) for source in recipe.datasets]
    problems = [problem for _, _, found_problems in found for problem in found_problems]
    datasets = [(source, dataset) for source, dataset, _ in found if dataset is not None]
    if problems:
        raise DataError(problems)
    first = datasets[0][1]
    target = skeletons.get(recipe.skeleton) if recipe.skeleton else first.skeleton
    named: list[tuple[str, PoseDataset, list[str]]] = []
    for source, dataset in datasets:
        have = {clip.label for clip in dataset.clips}
        for old in source.rename.keys() - have:
            problems.append(
                Problem(dataset.directory / CLIPS_FILE, None, f"the recipe renames {old!r}, no clip has it")
            )
        named.append((source.name, dataset, [source.rename.get(c.label or "", c.label or "") for c in dataset.clips]))
    background = recipe.background_label
    trained = {
        label for _, dataset, names in named for clip, label in zip(dataset.clips, names, strict=True)
        if label and clip.split == "train"
    } | ({background} if background else set())  # fmt: skip
    labels = tuple(sorted(trained))
    if len(labels) < 2:
        problems.append(Problem(first.directory / CLIPS_FILE, None, "a recipe needs clips of at least two labels"))
    index = {label: i for i, label in enumerate(labels)}
    examples: list[Example] = []
    for name, dataset, names in named:
        problems += _untrained(dataset, names, trained)
        try:
            to_target = skeletons.mapping(dataset.skeleton, target)
        except SkeletonError as error:
            problems.append(Problem(dataset.directory / DATASET_FILE, None, str(error)))
            continue
        for clip, label in zip(dataset.clips, names, strict=True):
            if not label and clip.split != "train":
                continue  # renamed to nothing: no answer to compare with
            frames = step_frames(clip.pts_s.tolist(), recipe.rate_hz, recipe.bundle.gaps.policy)
            pose = torch.from_numpy(to_target.apply(clip.keypoints[frames]))
            # prefix by set: two sets may both number their groups from 1
            target_index = index.get(label, UNLABELLED)
            examples.append(Example(pose, target_index, name, clip.split, f"{name}/{clip.group}"))
    if problems:
        raise DataError(problems)
    own = {name: tuple(sorted({index[label] for label in names if label})) for name, _, names in named}
    origins = tuple(" ".join(part for part in (d.about or name, d.terms) if part) for name, d, _ in named)
    repeats = {source.name: source.repeat for source in recipe.datasets}
    return Corpus(labels, pose_input(target), recipe.rate_hz, tuple(examples), own, repeats, origins)


def pose_input(skeleton: Skeleton) -> PoseInput:
    """What a bundle on this skeleton takes."""
    return PoseInput(kind="pose", skeleton=skeleton)


def _load_frames(recipe: Recipe, root: Path) -> Corpus:
    """As `load_corpus`, for clips of frames or of their features. Renamed to nothing: unlabelled."""
    found = [(source, *clips.inspect(root / source.path)) for source in recipe.datasets]
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
            examples.append(Example(steps, target, source.name, recording.split, group, targets))
    own = {name: tuple(sorted(index[label] for label in found_labels)) for name, found_labels in labelled.items()}
    origins = tuple(" ".join(p for p in (d.about.about or s.name, d.about.terms) if p) for s, d in datasets)
    repeats = {source.name: source.repeat for source in recipe.datasets}
    frame = datasets[0][1].about.input
    return Corpus(labels, frame, recipe.rate_hz, tuple(examples), own, repeats, origins)


def _untrained(dataset: PoseDataset, names: Sequence[str], trained: set[str]) -> Iterator[Problem]:
    """The first clip of every label that is validated or tested but never trained."""
    reported: set[str] = set()
    for clip, label in zip(dataset.clips, names, strict=True):
        if label and label not in trained | reported:
            reported.add(label)
            yield Problem(dataset.directory / CLIPS_FILE, clip.row, f"label {label!r} has no training clip")


@dataclass(frozen=True, slots=True)
class Fold:
    """What one seed trains and validates on."""

    train: tuple[Example, ...]
    val: tuple[Example, ...]


def draw_fold(corpus: Corpus, recipe: Recipe, seed: int) -> Fold:
    """Split the training clips by group, hide the labels that the recipe hides, add synthetic background.

    Raises DataError when no group can be kept out without losing a whole class, SkeletonError when background is made
    for a skeleton that it cannot be made for.
    """
    rng = np.random.default_rng((seed, 0))
    given = [e for e in corpus.examples if e.split == "val"]
    with_val = {e.source for e in given}
    train = [e for e in corpus.examples if e.split == "train"]
    open_to_draw = [e for e in train if e.source not in with_val]
    kept_out = _draw_groups(open_to_draw, recipe.validation.share, rng)
    val = given + [e for e in open_to_draw if e.group in kept_out and e.target != UNLABELLED]
    train = [e for e in train if e.group not in kept_out]
    if not val:
        reason = "no group can be kept out for validation: every class needs clips of two groups, or rows of split val"
        raise DataError([Problem(Path(next(iter(corpus.own_labels))) / CLIPS_FILE, None, reason)])
    if recipe.labelled < 1:
        train = _hide_labels(train, recipe.labelled, rng)
    val = [segment for e in val for segment in segments(e)]
    train = [e for e in train for _ in range(corpus.repeats[e.source])]
    if recipe.frames is not None:  # an epoch sees as many windows of a recording as it is long
        steps = recipe.windows.steps(recipe.rate_hz)
        train = [e for e in train for _ in range(max(1, round(len(e.pose) / steps)))]
    if recipe.background and recipe.background.clips:
        target = corpus.labels.index(recipe.background.label)
        share = recipe.validation.share
        counts = (recipe.background.clips, max(1, round(recipe.background.clips * share / (1 - share))))
        for stream, (examples, count) in enumerate(zip((train, val), counts, strict=True)):
            generator = torch.Generator().manual_seed(mixed_seed(seed, 1, stream))
            for pose in idle_clips(count, corpus.skeleton, corpus.rate_hz, generator):
                examples.append(Example(pose, target, "synthetic", "train", ""))
    return Fold(tuple(train), tuple(val))


def _draw_groups(examples: Sequence[Example], share: float, rng: np.random.Generator) -> set[str]:
    """Groups whose clips make up about `share` of each label, and never all the clips of one.

    Greedy over the groups in random order: one is taken when that brings the counts nearer to what is wanted.
    """
    groups: dict[str, Counter[int]] = defaultdict(Counter)
    for example in examples:
        groups[example.group][example.target] += example.target != UNLABELLED
    total = sum(groups.values(), Counter())
    taken: Counter[int] = Counter()
    chosen: set[str] = set()
    names = sorted(groups)
    for i in rng.permutation(len(names)):
        group = +groups[names[i]]
        gain = sum(abs(share * total[t] - taken[t]) - abs(share * total[t] - taken[t] - n) for t, n in group.items())
        if gain > 0 and all(taken[t] + n < total[t] for t, n in group.items()):
            chosen.add(names[i])
            taken += group
    return chosen


def _hide_labels(examples: Sequence[Example], share: float, rng: np.random.Generator) -> list[Example]:
    """Keep the labels of `share` of the clips of each class (at least one), hide the others'."""
    by_target: dict[int, list[int]] = defaultdict(list)
    for i, example in enumerate(examples):
        if example.target != UNLABELLED:
            by_target[example.target].append(i)
    shown: set[int] = set()
    for target in sorted(by_target):
        indices = by_target[target]
        shown.update(rng.permutation(indices)[: max(1, round(share * len(indices)))].tolist())
    return [e if i in shown else replace(e, target=UNLABELLED) for i, e in enumerate(examples)]


class Drawn(Dataset[Example]):
    """An epoch's training clips, augmented, some joined to another, each drawn from its (seed, epoch, index)."""

    def __init__(
        self, examples: Sequence[Example], augment: Augment, joining: Joining | Windows | None, seed: int, epoch: int
    ) -> None:
        self.examples, self.augment, self.joining, self.seed, self.epoch = examples, augment, joining, seed, epoch

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, self.epoch, index))
        example = self._augmented(index, generator)
        joining = self.joining
        if not isinstance(joining, Joining) or float(torch.rand((), generator=generator)) >= joining.chance:
            return example
        other = int(torch.randint(len(self.examples), (), generator=generator))
        before = self._augmented(other, generator)
        kept = 1 + int(torch.randint(joining.longest, (), generator=generator))
        pose, targets = join(before.pose[-kept:], before.target, example.pose, example.target, joining.passage)
        return replace(example, pose=pose, step_targets=targets)

    def _augmented(self, index: int, generator: torch.Generator) -> Example:
        example = self.examples[index]
        if isinstance(self.joining, Windows):
            example = self.joining.cut(example, generator)
        return replace(example, pose=self.augment(example.pose, generator))


class Bucketed(Sampler[list[int]]):
    """Random batches of clips of like length: little padding, and still other companions in every epoch."""

    WINDOW = 8
    """Batches that are sorted by length together."""

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> None:
        rng = np.random.default_rng((seed, epoch, 2))
        order = rng.permutation(len(lengths)).tolist()
        batches: list[list[int]] = []
        for start in range(0, len(order), batch_size * self.WINDOW):
            window = sorted(order[start : start + batch_size * self.WINDOW], key=lambda i: lengths[i])
            batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
        self.batches = [batches[i] for i in rng.permutation(len(batches))]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)


def collate(examples: Sequence[Example]) -> Batch:
    """Pad to the longest clip."""
    lengths = torch.tensor([len(e.pose) for e in examples])
    targets = torch.tensor([e.target for e in examples])
    steps = [torch.full((len(e.pose),), e.target) if e.step_targets is None else e.step_targets for e in examples]
    return Batch(
        pad_sequence([e.pose for e in examples], batch_first=True),
        lengths,
        targets,
        pad_sequence(steps, batch_first=True, padding_value=UNLABELLED),
        torch.tensor([e.lead for e in examples]) if any(e.lead for e in examples) else None,
    )


def training_batches(
    examples: Sequence[Example],
    augment: Augment,
    joining: Joining | Windows | None,
    batch_size: int,
    seed: int,
    epoch: int,
) -> DataLoader[Example]:
    """One epoch's batches; the same arguments give the same batches."""
    sampler = Bucketed([len(e.pose) for e in examples], batch_size, seed, epoch)
    return DataLoader(Drawn(examples, augment, joining, seed, epoch), batch_sampler=sampler, collate_fn=collate)


def plain_batches(examples: Sequence[Example], batch_size: int | None = None) -> Iterator[tuple[list[int], Batch]]:
    """Batches for measuring, by length, as they are: (indices into `examples`, batch). By default 128, of frames 4."""
    if batch_size is None:
        batch_size = 4 if examples and examples[0].pose.dtype == torch.uint8 else 128
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].pose))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        yield indices, collate([examples[i] for i in indices])


def mixed_seed(*numbers: int) -> int:
    """One well mixed 63-bit seed of several small numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
