"""Clips in batches. For training they are augmented, joined or cut anew in every epoch; for measuring they are not.

Everything is drawn from the seed, the epoch and the clip, so a resumed run draws the same as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

from inkling.models.networks import Inputs
from inkling.models.networks.joints_and_picture import POSE
from inkling.training.augment.joining import join
from inkling.training.augment.poses import View
from inkling.training.data.ahead import targets_ahead
from inkling.training.data.corpus import Example, at_steps
from inkling.training.labels import UNLABELLED
from inkling.training.seeds import mixed_seed

Augment = Callable[[Sequence[Tensor], torch.Generator], Sequence[View]]
"""Clips (T, J, C) and a source of randomness -> other clips that could have been, (T', J, C), T' >= 1.

Frames (T, H, W, 3) keep their number: their windows have been cut before.
"""


@dataclass(frozen=True, slots=True)
class Joining:
    """How often a training clip follows the end of another one, in steps of the model (see `augment.joining`)."""

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
        labels = example.present if example.present is not None else targets_by_step(example)
        labelled = places + pace * example.ahead if example.present is not None else places
        targets = torch.where(labelled < last + 0.5, labels[labelled.round().long().clamp(max=last)], UNLABELLED)
        return replace(at_steps(example, rows, example.pose[rows]), step_targets=targets, present=None)


@dataclass(frozen=True, slots=True)
class Drawing:
    """How training clips are drawn. joining: clips of poses may follow each other, recordings are cut into windows."""

    augment: Augment
    joining: Joining | Windows | None
    seed: int


@dataclass(frozen=True, slots=True)
class Batch:
    """x: (B, T, J, C) float32, zero beyond each clip's length. lengths, targets: (B,) int64.

    step_targets: (B, T) int64, each clip's target at each of its steps, UNLABELLED where it has none.
    leads: (B,) int64, steps before each clip itself; None where there are none at all.
    step_answers: (B, T) int64, the row of the answers (N, K) to whole clips that belongs to each step; None where no
    clip has such a row.
    further: what is given beside x by the name of the input, (B, T, ...) each.
    """

    x: Tensor
    lengths: Tensor
    targets: Tensor
    step_targets: Tensor
    leads: Tensor | None = None
    step_answers: Tensor | None = None
    further: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def inputs(self) -> Inputs:
        """What a network is given: x, or each of several inputs by its name."""
        return {POSE: self.x, **self.further} if self.further else self.x

    @property
    def weight(self) -> Tensor:
        """(B, T): 1 within a clip, 0 in its padding."""
        steps = torch.arange(self.x.shape[1], device=self.lengths.device)
        return (steps < self.lengths[:, None]).to(torch.float32)

    def to(self, device: torch.device) -> Batch:
        values: dict[str, Tensor | None] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "further"}
        further = {name: value.to(device) for name, value in self.further.items()}
        moved: dict[str, Any] = {name: value.to(device) for name, value in values.items() if value is not None}
        return replace(self, further=further, **moved)


class Cut(Dataset[Example]):
    """The windows of an epoch of frames, augmented; each is drawn from (seed, epoch, index) when it is asked for."""

    def __init__(self, examples: Sequence[Example], drawing: Drawing, windows: Windows, epoch: int) -> None:
        self.examples, self.drawing, self.windows, self.epoch = examples, drawing, windows, epoch

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        generator = torch.Generator().manual_seed(mixed_seed(self.drawing.seed, self.epoch, index))
        example = self.windows.cut(self.examples[index], generator)
        return seen_as(example, self.drawing.augment([example.pose], generator)[0])


def drawn(examples: Sequence[Example], drawing: Drawing, joining: Joining | None, epoch: int) -> list[Example]:
    """The clips of an epoch of poses, augmented, some joined to another; all are drawn at once from (seed, epoch)."""
    generator = torch.Generator().manual_seed(mixed_seed(drawing.seed, epoch, 4))
    views = drawing.augment([e.pose for e in examples], generator)
    clips = [seen_as(example, view) for example, view in zip(examples, views, strict=True)]
    if joining is None:
        return clips
    epoch_clips, count = list(clips), len(clips)
    joined = torch.rand(count, generator=generator) < joining.chance
    others = torch.randint(count, (count,), generator=generator)
    kept = 1 + torch.randint(joining.longest, (count,), generator=generator)
    for i in joined.nonzero().flatten().tolist():
        before, example = clips[int(others[i])], clips[i]
        earlier = before.pose[-int(kept[i]) :]
        before_targets = targets_by_step(before)[-int(kept[i]) :]
        pose, targets = join(earlier, before_targets, example.pose, targets_by_step(example), joining.passage)
        answers = torch.full_like(targets, UNLABELLED)
        answers[: len(earlier)], answers[-len(example.pose) :] = before.answer, example.answer
        lead = len(pose) - len(example.pose)
        further = {
            name: _led_in(before.further[name][-int(kept[i]) :], tensor, joining.passage)
            for name, tensor in example.further.items()
        }
        followed = replace(example, pose=pose, step_targets=targets, lead=lead, further=further)
        epoch_clips[i] = replace(followed, step_answers=answers)
    return epoch_clips


def _led_in(before: Tensor, own: Tensor, passage: int) -> Tensor:
    """Rows (S, ...) of another clip, the last of them held over the passage, and then the clip's own (T, ...)."""
    return torch.cat([before, before[-1:].expand(passage, *before.shape[1:]), own])


def targets_by_step(example: Example) -> Tensor:
    """(T,) the target of each step."""
    if example.step_targets is not None:
        return example.step_targets
    return torch.full((len(example.pose),), example.target)


def seen_as(example: Example, view: View) -> Example:
    """A clip as a view shows it, its targets where their steps have gone."""
    seen = at_steps(example, view.steps, view.pose)
    if example.step_targets is None:
        return seen
    if example.present is not None:
        targets = targets_ahead(example.present, view.steps, example.ahead)
        return replace(seen, step_targets=targets, present=None)
    return replace(seen, step_targets=example.step_targets[view.steps])


BATCHES_SORTED_TOGETHER = 32
LENGTH_JITTER = 0.1
"""A clip counts as longer or shorter by up to this share: the same clips should not always meet."""


def bucketed(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Random batches of clips of similar length: little padding, and other companions in every epoch.

    lengths: steps of each clip. Returns the indices of the clips of each batch.
    """
    rng = np.random.default_rng((seed, epoch, 2))
    order = rng.permutation(len(lengths)).tolist()
    counted = np.asarray(lengths) * rng.uniform(1 - LENGTH_JITTER, 1 + LENGTH_JITTER, len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), batch_size * BATCHES_SORTED_TOGETHER):
        window = sorted(order[start : start + batch_size * BATCHES_SORTED_TOGETHER], key=lambda i: float(counted[i]))
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def collate(examples: Sequence[Example]) -> Batch:
    """Pad to the longest clip."""
    lengths = torch.tensor([len(e.pose) for e in examples])
    targets = torch.tensor([e.target for e in examples])
    answered = any(e.answer != UNLABELLED for e in examples)
    return Batch(
        pad_sequence([e.pose for e in examples], batch_first=True),
        lengths,
        targets,
        _by_step([(len(e.pose), e.target, e.step_targets) for e in examples]),
        torch.tensor([e.lead for e in examples]) if any(e.lead for e in examples) else None,
        _by_step([(len(e.pose), e.answer, e.step_answers) for e in examples]) if answered else None,
        {name: pad_sequence([e.further[name] for e in examples], batch_first=True) for name in examples[0].further},
    )


def _by_step(clips: Sequence[tuple[int, int, Tensor | None]]) -> Tensor:
    """(B, T) of clips that have a value for all their steps, or one for each; UNLABELLED in the padding."""
    steps = [torch.full((length,), one) if each is None else each for length, one, each in clips]
    return pad_sequence(steps, batch_first=True, padding_value=UNLABELLED)


def training_batches(
    examples: Sequence[Example],
    drawing: Drawing,
    batch_size: int,
    epoch: int,
    labelled_only: bool = False,
    rank: int = 0,
    ranks: int = 1,
) -> DataLoader[Example]:
    """The batches of one epoch. The same arguments give the same batches.

    labelled_only: for a loss that unlabelled clips add nothing to. The labelled clips are repeated until they fill as
    many batches as all clips would, so that runs with and without unlabelled clips are trained equally long.

    rank, ranks: of `ranks` processes that train together, process `rank` gets its share of every batch. All processes
    have equally many batches.
    """
    if labelled_only:
        labelled = [e for e in examples if _labelled(e)]
        examples = [labelled[i % len(labelled)] for i in range(len(examples))] if labelled else examples
    clips: Any
    if isinstance(drawing.joining, Windows):
        clips, known = Cut(examples, drawing, drawing.joining, epoch), examples
    else:
        clips = known = drawn(examples, drawing, drawing.joining, epoch)
    # lengths as drawn: a short clip that follows another one is long
    batches = bucketed([len(e.pose) for e in known], batch_size, drawing.seed, epoch)
    shares: Any = [share_of(batch, rank, ranks) for batch in batches]
    return DataLoader(clips, batch_sampler=shares, collate_fn=collate)


def share_of(batch: Sequence[int], rank: int, ranks: int) -> list[int]:
    """What process `rank` of `ranks` sees of a batch: every so many-th clip.

    A batch that cannot be divided evenly shows its first clips twice, so that no process is left without any.
    """
    each = -(-len(batch) // ranks)
    return [batch[(rank + i * ranks) % len(batch)] for i in range(each)]


def _labelled(example: Example) -> bool:
    """Whether any step has a label."""
    if example.step_targets is None:
        return example.target != UNLABELLED
    return bool((example.step_targets != UNLABELLED).any())


def _large(example: Example) -> bool:
    """Whether its steps are pictures, which fill memory."""
    return any(tensor.dtype == torch.uint8 for tensor in (example.pose, *example.further.values()))


def plain_batches(examples: Sequence[Example], batch_size: int | None = None) -> Iterator[tuple[list[int], Batch]]:
    """Batches for measuring, by length, as they are: (indices into `examples`, batch). By default 32, of frames 4."""
    if batch_size is None:
        batch_size = 4 if examples and _large(examples[0]) else 32
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].pose))
    for start in range(0, len(order), batch_size):
        indices = order[start : start + batch_size]
        yield indices, collate([examples[i] for i in indices])
