"""Test clips for a folder that names none: whole groups, about the same share of every label, the same ones every time.

The order in which groups are looked at follows from their names, so that a folder with a few more clips keeps nearly
all of its test clips.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inkling.training.data.frame_dataset import Row

TEST_SHARE = 0.2
LEFT_GROUPS = 2
"""Groups of each label that stay for training: with fewer, none could validate."""


@dataclass(frozen=True, slots=True)
class SplitRows:
    """Rows, each with its split, and a sentence on what was drawn; empty where the rows had test clips already."""

    rows: tuple[Row, ...]
    sentence: str


def with_test_split(rows: Sequence[Row], share: float = TEST_SHARE, seed: int = 0) -> SplitRows:
    """Rows of which about `share` are test clips: theirs, or, where none is, drawn by group from those for training.

    Clips of one group (without one: of one file) stay together. A group with an unlabelled clip is never drawn. Nothing
    is drawn where `share` is 0.
    """
    if share == 0 or any(row.split == "test" for row in rows):
        return SplitRows(tuple(rows), "")
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        if row.split == "train":
            groups[group_of(row)][row.label] += 1
    labelled = {name: labels for name, labels in groups.items() if "" not in labels}
    test = draw_groups(labelled, share, seed)
    split = tuple(
        row.model_copy(update={"split": "test"}) if row.split == "train" and group_of(row) in test else row
        for row in rows
    )
    drawn = {row.label for row in split if row.split == "test"}
    without = sorted({row.label for row in split if row.label} - drawn)
    return SplitRows(split, _sentence(len(test), len(groups), without))


def draw_groups(groups: Mapping[str, Counter[str]], share: float, seed: int) -> set[str]:
    """Groups, given with their clips of each label, whose clips make up about `share` of each label.

    Greedy: one is taken when that brings the counts nearer to what is wanted, and at least `LEFT_GROUPS` groups of each
    of its labels stay.
    """
    total = sum(groups.values(), Counter[str]())
    left = Counter(label for labels in groups.values() for label in labels)
    taken: Counter[str] = Counter()
    drawn: set[str] = set()
    for name in sorted(groups, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest()):
        labels = groups[name]
        gain = sum(
            abs(share * total[label] - taken[label]) - abs(share * total[label] - taken[label] - clips)
            for label, clips in labels.items()
        )
        if gain > 0 and all(left[label] > LEFT_GROUPS for label in labels):
            drawn.add(name)
            taken += labels
            left.subtract(labels.keys())
    return drawn


def group_of(row: Row) -> str:
    """What a row's clip must not be parted from: its group, without one its file."""
    return row.group or row.path


def _sentence(drawn: int, groups: int, without: Sequence[str]) -> str:
    names = ", ".join(without)
    if not drawn:
        return (
            "there are no test clips, and too few clips to keep some for it: every label needs "
            f"{LEFT_GROUPS + 1} recordings"
        )
    missing = f", none of {names}, which has too few" if without else ""
    return (
        f"no test clips were named: {drawn} of {groups} recordings are kept for testing{missing}. They are drawn by "
        "recording, the same ones every time; to choose yourself, use folders train/ and test/ or the column split"
    )
