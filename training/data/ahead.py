"""Targets of a model that says what is under way some steps later: each label is moved to the step that foretells it.

A step whose future lies past the end of its recording has no target. A clip that has one label from its first step to
its last keeps it throughout: it was cut out for that action, and nobody knows what came after it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from inkling.training.labels import UNLABELLED


def targets_ahead(present: Tensor, steps: Tensor, ahead: int) -> Tensor:
    """The target of each step of a clip that shows some steps of a recording, perhaps slower or faster.

    present: (T,) the label of each step of the recording. steps: (T',) the step that each of the clip's shows. What is
    foretold is what the clip shows `ahead` steps later; past its end, what the recording goes on with. Returns (T',).
    """
    last, later = len(steps) - 1, torch.arange(len(steps), device=steps.device) + ahead
    places = steps[later.clamp(max=last)] + (later - last).clamp(min=0)
    known = present[places.clamp(max=len(present) - 1)]
    return torch.where(places < len(present), known, UNLABELLED)


def of_one_label(present: Tensor) -> bool:
    """Whether all steps (T,) have the same target, so that the future of each is taken to be the same too."""
    return bool((present == present[0]).all())
