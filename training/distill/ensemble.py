"""Several teachers as one, and labels taken from teachers: what they answer to clips that nobody labelled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkling.models.networks import Teacher
from inkling.training.data.corpus import Example
from inkling.training.data.loader import Augment, plain_batches
from inkling.training.labels import UNLABELLED


class Ensemble(nn.Module):
    """The mean of several teachers' probabilities, as one teacher. All read the same features: their first one's."""

    def __init__(self, teachers: Sequence[Teacher]) -> None:
        super().__init__()
        if not teachers:
            raise ValueError("an ensemble has at least one teacher")
        self.teachers = nn.ModuleList(teachers)

    def members(self) -> list[Teacher]:
        return [cast(Teacher, teacher) for teacher in self.teachers]

    @property
    def extractor(self) -> nn.Module:
        """What turns raw input into features."""
        return self.members()[0].extractor

    def features(self, x: Tensor) -> Tensor:
        """x (B, T, *input) -> (B, T, F)."""
        return self.members()[0].features(x)

    def forward_features(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, F), lengths (B,) -> log of the mean probabilities (B, T, K)."""
        answers = [F.log_softmax(t.forward_features(features, lengths).float(), -1) for t in self.members()]
        return torch.logsumexp(torch.stack(answers), 0) - math.log(len(answers))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """x (B, T, *input), lengths (B,) -> log of the mean probabilities (B, T, K)."""
        return self.forward_features(self.features(x), lengths)


@torch.no_grad()
def whole_clip(teacher: Ensemble, examples: Sequence[Example]) -> Tensor:
    """Log-probabilities (N, K) of clips as they are: the mean of the teacher's over all steps of a clip."""
    found: dict[int, Tensor] = {}
    for indices, batch in plain_batches(examples):
        answers = F.log_softmax(teacher(batch.x, batch.lengths), -1).exp() * batch.weight[..., None]
        means = answers.sum(1) / batch.lengths[:, None]
        found.update(zip(indices, means.clamp(min=1e-12).log(), strict=True))
    return torch.stack([found[i] for i in range(len(examples))])


def averaged(
    teacher: Ensemble, examples: Sequence[Example], augment: Augment, views: int, random: torch.Generator
) -> Tensor:
    """As `whole_clip`, the mean of the probabilities over the clips as they are and `views` augmented versions."""
    answers = [whole_clip(teacher, examples)]
    for _ in range(views):
        clips = augment([e.pose for e in examples], random)
        answers.append(whole_clip(teacher, [replace(e, pose=pose) for e, pose in zip(examples, clips, strict=True)]))
    return torch.logsumexp(torch.stack(answers), 0) - math.log(len(answers))


def with_pseudo_labels(answers: Tensor, examples: Sequence[Example]) -> tuple[Example, ...]:
    """The clips, each unlabelled one with the likeliest label of its answer (N, K) (Lee: Pseudo-Label, 2013)."""
    labels = answers.argmax(-1).tolist()
    return tuple(
        replace(e, target=label) if e.target == UNLABELLED and e.step_targets is None else e
        for e, label in zip(examples, labels, strict=True)
    )
