"""The targets of clips and steps: a label, none, or 'anything but' a label.

In files and recipes `!fall` says that somebody does anything but fall: which label is right, nobody has said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # whoever prepares clips does without torch
    from torch import Tensor

Target = TypeVar("Target", int, "Tensor")

UNLABELLED = -1
"""The target of a clip or a step that has no label."""
NOT = "!"
"""Before a label: anything but this."""


def anything_but(label: Target) -> Target:
    """The target, below UNLABELLED, of a clip or a step of which only this is known: it is not the label of that index.

    It is its own inverse: of such a target it gives the index of the label that is excluded.
    """
    return -2 - label


def name_of(label: str) -> str:
    """The label that is named, whether it is meant or excluded."""
    return label.removeprefix(NOT)


def target_of(label: str | None, index: Mapping[str, int]) -> int:
    """The target that a label of a file or a recipe stands for; without one, or with one that is not in `index`,
    UNLABELLED."""
    target = index.get(name_of(label or ""), UNLABELLED)
    return anything_but(target) if target != UNLABELLED and (label or "").startswith(NOT) else target


def whole_clip_target(targets: list[int]) -> int:
    """What a clip counts as whose steps have these targets: its last label, else the last that it excludes."""
    labels = [target for target in targets if target >= 0]
    others = [target for target in targets if target < UNLABELLED]
    return (labels or others or [UNLABELLED])[-1]
