"""What one seed trains and validates on: groups are kept out, labels hidden, clips repeated, background added."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from inkling.training.data.corpus import Corpus, Example, foretelling, segments
from inkling.training.data.pose_dataset import CLIPS_FILE
from inkling.training.data.synthetic_falls import SYNTHETIC_FALLS, fall_clips
from inkling.training.data.synthetic_idle import SYNTHETIC, idle_clips
from inkling.training.errors import DataError, Problem
from inkling.training.labels import UNLABELLED, whole_clip_target
from inkling.training.recipe.recipe import Recipe
from inkling.training.seeds import mixed_seed


@dataclass(frozen=True, slots=True)
class Fold:
    """What one seed trains and validates on."""

    train: tuple[Example, ...]
    val: tuple[Example, ...]


def draw_fold(corpus: Corpus, recipe: Recipe, seed: int) -> Fold:
    """The training and validation clips of a seed.

    Whole groups are kept out for validation, labels are hidden as `recipe.labelled` says, and synthetic background is
    added. Nothing is kept out where the recipe's share is 0 and there are no rows of the split `val`; such recipes
    validate by `cross_folds`, or not at all.

    Raises DataError when no group can be kept out without losing a whole class, SkeletonError when background is made
    for a skeleton that it cannot be made for.
    """
    rng = np.random.default_rng((seed, 0))
    share = recipe.validation.share
    train, val = _kept_out(corpus.examples, share, rng)
    if not val and share > 0:
        reason = "no group can be kept out for validation: every class needs clips of two groups, or rows of split val"
        raise DataError([Problem(Path(next(iter(corpus.own_labels))) / CLIPS_FILE, None, reason)])
    if recipe.labelled < 1:
        train = _hide_labels(train, recipe.labelled, rng)
    train = _repeated(train, corpus, recipe)
    val = [segment for e in val for segment in segments(e)]
    if recipe.background and recipe.background.clips:
        count = recipe.background.clips
        train += _idle_examples(corpus, recipe.background.label, count, mixed_seed(seed, 1, 0))
        if val:
            count = max(1, round(count * share / (1 - share)))
            val += _idle_examples(corpus, recipe.background.label, count, mixed_seed(seed, 1, 1))
    train += _fall_examples(corpus, recipe, mixed_seed(seed, 1, 2))
    return Fold(tuple(train), tuple(val))


def _kept_out(
    examples: Sequence[Example], share: float, rng: np.random.Generator
) -> tuple[list[Example], list[Example]]:
    """The clips to train on, and those to validate on: the rows of the split `val`, or drawn groups of other sets."""
    given = [e for e in examples if e.split == "val"]
    with_val = {e.source for e in given}
    train = [e for e in examples if e.split == "train"]
    open_to_draw = [e for e in train if e.source not in with_val]
    groups = _draw_groups(open_to_draw, share, rng)
    drawn = [e for e in open_to_draw if e.group in groups and e.target != UNLABELLED]
    return [e for e in train if e.group not in groups], given + drawn


def _repeated(train: Sequence[Example], corpus: Corpus, recipe: Recipe) -> list[Example]:
    """The clips as often as an epoch sees them: as each data set says, and a recording once for each window in it."""
    train = [e for e in train for _ in range(corpus.repeats[e.source])]
    if not recipe.on_frames:
        return train
    steps = recipe.windows.steps(recipe.rate_hz)
    return [e for e in train for _ in range(max(1, round(len(e.pose) / steps)))]


def _idle_examples(corpus: Corpus, label: str, count: int, seed: int) -> list[Example]:
    """Synthetic clips of the background label."""
    target, generator = corpus.labels.index(label), torch.Generator().manual_seed(seed)
    clips = idle_clips(count, corpus.skeleton, corpus.rate_hz, generator)
    return [Example(pose, target, SYNTHETIC, "train", "") for pose in clips]


def _fall_examples(corpus: Corpus, recipe: Recipe, seed: int) -> list[Example]:
    """Synthetic falls and what only looks like one, where the recipe wants some. Raises DataError."""
    falls, background = recipe.synthetic_falls, recipe.background
    if falls is None or background is None:
        return []
    if falls.label not in corpus.labels:
        reason = f"no clip has the label {falls.label!r} of synthetic_falls"
        raise DataError([Problem(Path(next(iter(corpus.own_labels))) / CLIPS_FILE, None, reason)])
    index = {label: i for i, label in enumerate(corpus.labels)}
    generator = torch.Generator().manual_seed(seed)
    clips = fall_clips(
        falls.clips, corpus.skeleton, corpus.rate_hz, index[falls.label], index[background.label], generator
    )
    examples = (
        Example(pose, whole_clip_target(targets.tolist()), SYNTHETIC_FALLS, "train", "", targets)
        for pose, targets in clips
    )
    return [foretelling(example, recipe.ahead) for example in examples]


def cross_folds(fold: Fold, parts: int, seed: int) -> list[Fold]:
    """Folds for cross-validation: the training clips in `parts` parts, each validated by a fold that lacks it.

    Groups stay whole, and each part has about as many clips of every label of a data set as the others. A part's clips
    without a label are left out of its fold. Synthetic falls train in all folds and validate in none. A clip is not
    validated where its label would have no clip left to train on. No parts give no folds. Raises
    DataError where a part has no clips to validate.
    """
    if not parts:
        return []
    rng = np.random.default_rng((seed, 4))
    clips = list({id(e): e for e in fold.train if e.source != SYNTHETIC_FALLS}.values())  # repeated ones once
    everywhere = Counter(e.target for e in clips)
    return [_without(part, fold, everywhere, parts) for part in _dealt(_by_group(clips), parts, rng)]


def _by_group(clips: Sequence[Example]) -> dict[str, list[Example]]:
    """Clips by the name of their group; each made-up clip is a group of its own."""
    groups: dict[str, list[Example]] = defaultdict(list)
    for i, clip in enumerate(clips):
        groups[f"made up {i}" if clip.source == SYNTHETIC else clip.group].append(clip)
    return groups


def _dealt(groups: Mapping[str, Sequence[Example]], parts: int, rng: np.random.Generator) -> list[list[Example]]:
    """Groups in random order, each to the part that has the fewest clips of the group's labels and data sets."""
    dealt: list[list[Example]] = [[] for _ in range(parts)]
    counts: list[Counter[tuple[str, int]]] = [Counter() for _ in range(parts)]
    names = sorted(groups)
    for i in rng.permutation(len(names)):
        group = groups[names[i]]
        kinds = Counter((e.source, e.target) for e in group)
        fullness = [(sum(n * count[kind] for kind, n in kinds.items()), count.total()) for count in counts]
        emptiest = min(range(parts), key=fullness.__getitem__)
        counts[emptiest] += kinds
        dealt[emptiest] += group
    return dealt


def _without(part: Sequence[Example], fold: Fold, everywhere: Mapping[int, int], parts: int) -> Fold:
    """The fold that trains on all but a part and validates the part. everywhere: how many clips each target has."""
    there = Counter(e.target for e in part)
    val = [e for e in part if e.target != UNLABELLED and there[e.target] < everywhere[e.target]]
    if not val:
        reason = f"cannot be validated in {parts} parts: every class needs clips of two groups, every part one"
        raise DataError([Problem(Path(fold.train[0].source) / CLIPS_FILE, None, reason)])
    out = {id(e) for e in (*val, *(e for e in part if e.target == UNLABELLED))}
    segmented = tuple(segment for e in val for segment in segments(e))
    return Fold(tuple(e for e in fold.train if id(e) not in out), segmented)


def parted(clips: Sequence[Example], share: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Clips in two parts; the second has about `share` of the clips of each data set.

    Groups are drawn at random and not divided; sets that share groups count as one. Labels play no part in it, so
    either part is like the whole. Each made-up clip is a group of its own.
    """
    rng = np.random.default_rng((seed, 3))
    groups: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for i, clip in enumerate(clips):
        sets = clip.group.partition("/")[0] if "/" in clip.group else clip.source
        groups[sets][f"made up {i}" if clip.source == SYNTHETIC else clip.group].append(i)
    second: set[int] = set()
    for source in sorted(groups):
        members = [groups[source][name] for name in sorted(groups[source])]
        wanted, taken = share * sum(map(len, members)), 0
        for which in rng.permutation(len(members)):
            if abs(wanted - taken - len(members[which])) < abs(wanted - taken):
                second.update(members[which])
                taken += len(members[which])
    return (
        [clip for i, clip in enumerate(clips) if i not in second],
        [clip for i, clip in enumerate(clips) if i in second],
    )


def _draw_groups(examples: Sequence[Example], share: float, rng: np.random.Generator) -> set[str]:
    """Groups whose clips make up about `share` of the clips of each label, and never all clips of a label.

    Groups come in random order; one is taken when it brings the counts nearer to the wanted share.
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
    """Keep the labels of `share` of the clips of each class, at least one, and hide the labels of the others."""
    by_target: dict[int, list[int]] = defaultdict(list)
    for i, example in enumerate(examples):
        if example.target != UNLABELLED:
            by_target[example.target].append(i)
    shown: set[int] = set()
    for target in sorted(by_target):
        indices = by_target[target]
        shown.update(rng.permutation(indices)[: max(1, round(share * len(indices)))].tolist())
    return [
        e if i in shown else replace(e, target=UNLABELLED, step_targets=None, present=None)
        for i, e in enumerate(examples)
    ]
