"""Several teachers used as one, and what they say of whole clips: as targets, or as labels of unlabelled clips."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inkling.models.networks import Answers, Inputs, WholeClipNetwork
from inkling.training.data.corpus import Example, at_steps
from inkling.training.data.loader import Augment, plain_batches
from inkling.training.labels import UNLABELLED


class Ensemble(nn.Module):
    """Several teachers as one: its probabilities are the mean of theirs.

    All teachers read the features of the first one's extractor.
    """

    def __init__(self, teachers: Sequence[WholeClipNetwork]) -> None:
        super().__init__()
        if not teachers:
            raise ValueError("an ensemble has at least one teacher")
        self.teachers = nn.ModuleList(teachers)

    def members(self) -> list[WholeClipNetwork]:
        return [cast(WholeClipNetwork, teacher) for teacher in self.teachers]

    @property
    def extractor(self) -> nn.Module:
        """What turns raw input into features."""
        return self.members()[0].extractor

    def features(self, x: Inputs) -> Tensor:
        """x (B, T, *input) -> (B, T, F)."""
        return self.members()[0].features(x)

    def forward_features(self, features: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, F), lengths (B,) -> log of the mean probabilities (B, T, K)."""
        answers = [F.log_softmax(t.forward_features(features, lengths).float(), -1) for t in self.members()]
        return torch.logsumexp(torch.stack(answers), 0) - math.log(len(answers))

    def detailed(self, features: Tensor, lengths: Tensor) -> Answers:
        """As `forward_features`, with the hidden states of the only teacher; of several no states are known."""
        if len(self.teachers) > 1:
            return Answers({"answer": self.forward_features(features, lengths)}, {})
        found = self.members()[0].detailed(features, lengths)
        return Answers({"answer": F.log_softmax(found.logits.float(), -1)}, found.states)

    def forward(self, x: Inputs, lengths: Tensor) -> Tensor:
        """x (B, T, *input), lengths (B,) -> log of the mean probabilities (B, T, K)."""
        return self.forward_features(self.features(x), lengths)


@torch.no_grad()
def whole_clip(teacher: Ensemble, examples: Sequence[Example]) -> Tensor:
    """Log-probabilities (N, K) of clips without augmentation: the mean of the probabilities over a clip's steps."""
    by_clip: dict[int, Tensor] = {}
    for indices, batch in plain_batches(examples):
        answers = F.log_softmax(teacher(batch.inputs, batch.lengths), -1).exp() * batch.weight[..., None]
        means = answers.sum(1) / batch.lengths[:, None]
        by_clip.update(zip(indices, means.clamp(min=1e-12).log(), strict=True))
    return torch.stack([by_clip[i] for i in range(len(examples))])


def averaged(
    teacher: Ensemble, examples: Sequence[Example], augment: Augment, views: int, random: torch.Generator
) -> Tensor:
    """As `whole_clip`; the mean of the probabilities over each clip and `views` augmented versions of it."""
    answers = [whole_clip(teacher, examples)]
    for _ in range(views):
        seen = augment([e.pose for e in examples], random)
        answers.append(whole_clip(teacher, [at_steps(e, v.steps, v.pose) for e, v in zip(examples, seen, strict=True)]))
    return torch.logsumexp(torch.stack(answers), 0) - math.log(len(answers))


def with_pseudo_labels(answers: Tensor, examples: Sequence[Example]) -> tuple[Example, ...]:
    """The clips; unlabelled ones get their likeliest label by the answers (N, K) (Lee: Pseudo-Label, 2013)."""
    labels = answers.argmax(-1).tolist()
    return tuple(
        replace(e, target=label) if e.target == UNLABELLED and e.step_targets is None else e
        for e, label in zip(examples, labels, strict=True)
    )
