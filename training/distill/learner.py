"""What is optimised: a network, its averaged weights, its losses and its batches. `loop.train` does the optimising."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

from inkling.models.networks import Answers, CausalNetwork, WholeClipNetwork
from inkling.training.data.corpus import Example
from inkling.training.data.folds import Fold
from inkling.training.data.loader import Batch, Drawing, plain_batches, training_batches
from inkling.training.distill.ensemble import Ensemble
from inkling.training.distill.foresight import Foresight
from inkling.training.distill.optimiser import RampedAverage
from inkling.training.distill.terms import TERMS, Taught, weights_of
from inkling.training.labels import UNLABELLED
from inkling.training.recipe.sections import Distillation, Fit

Select = Literal["best", "last"]
NO_OTHERS: Mapping[str, float] = MappingProxyType({})
"""No terms of the loss but those of paper A."""


def in_float32(answers: Answers) -> Answers:
    """With logits in float32: losses are never in less."""
    return Answers({stage: logits.float() for stage, logits in answers.heads.items()}, answers.states)


class Learner:
    """A network about to be optimised on a fold. Subclasses define the losses.

    The averaged weights are the ones that are validated and kept.
    """

    network: nn.Module

    def __init__(
        self,
        network: nn.Module,
        fold: Fold,
        fit: Fit,
        drawing: Drawing,
        select: Select,
        distillation: Distillation,
        losses: Mapping[str, float],
    ) -> None:
        """select: which epoch's weights are kept. losses: the recipe's weights by name. Raises ConfigError."""
        self.network = network
        self.average = AveragedModel(network, multi_avg_fn=RampedAverage(fit.ema)).requires_grad_(False)
        self.examples: Sequence[Example] = fold.train
        self.validation = [batch for _, batch in plain_batches(fold.val)]
        self.fit_config, self.drawing, self.select = fit, drawing, select
        self.distillation = distillation
        self._losses = dict(losses)
        weights_of(losses, distillation)  # refuses what is no term before anything is trained

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each term of the loss that counts."""
        return weights_of(self._losses, self.distillation)

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits (B, T, K) of a network for a batch."""
        raise NotImplementedError

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The parts of the loss by name, already weighted. Their sum is minimised."""
        raise NotImplementedError

    def to(self, device: torch.device) -> None:
        """Move everything that the losses need. Batches are moved one by one."""
        self.network.to(device)
        self.average.to(device)

    @property
    def labelled_only(self) -> bool:
        """Whether unlabelled clips add nothing to the loss."""
        return True

    def batches(self, epoch: int, rank: int = 0, ranks: int = 1) -> DataLoader[Example]:
        """The batches of an epoch: of `ranks` processes that train together, the share of process `rank`."""
        size = self.fit_config.batch_size
        return training_batches(self.examples, self.drawing, size, epoch, self.labelled_only, rank, ranks)


class TeacherLearner(Learner):
    """The teacher learns to classify labelled clips, at every step with the whole clip in view."""

    network: WholeClipNetwork

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        logits: Tensor = network(batch.inputs, batch.lengths)
        return logits.float()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        network = self.network
        answers = in_float32(network.detailed(network.features(batch.inputs), batch.lengths))
        seen = Taught(answers, batch.step_targets, batch.weight, self.fit_config, self.distillation)
        return {name: weight * TERMS[name].loss(seen) for name, weight in self.weights.items() if TERMS[name].of_labels}


class StudentLearner(Learner):
    """The student: L = L_cls + alpha L_ts + beta L_self (paper A, equation 4). Unlabelled clips have the last two."""

    network: CausalNetwork

    def __init__(
        self,
        network: CausalNetwork,
        fold: Fold,
        fit: Fit,
        drawing: Drawing,
        select: Select,
        *,
        teacher: WholeClipNetwork | Ensemble | None,
        distillation: Distillation,
        lead: int,
        answers: Tensor | None = None,
        losses: Mapping[str, float] = NO_OTHERS,
        foresight: Foresight | None = None,
    ) -> None:
        """teacher: trained; its answer to each step is the target of L_ts.

        foresight: a recogniser that an anticipating student learns from.

        answers: (N, K) log-probabilities that `Example.answer` counts into, the target of L_ts instead of a teacher.
        lead: how many steps later the target of L_self is.
        """
        super().__init__(network, fold, fit, drawing, select, distillation, losses)
        self.teacher = teacher.eval().requires_grad_(False) if teacher is not None else None
        # An extractor without trained parameters gives teacher and student the same features: they are computed once.
        self._same_features = not any(p.requires_grad for p in network.extractor.parameters())
        self.answers = answers
        self.lead = lead
        self.foresight = foresight

    @property
    def labelled_only(self) -> bool:
        taught = self.teacher is not None or self.answers is not None or self.foresight is not None
        return not taught and self.distillation.beta == 0

    def to(self, device: torch.device) -> None:
        super().to(device)
        if self.teacher is not None:
            self.teacher.to(device)
        if self.answers is not None:
            self.answers = self.answers.to(device)
        if self.foresight is not None:
            self.foresight.recogniser.to(device)

    def answer(self, network: nn.Module, batch: Batch) -> Tensor:
        logits: Tensor = network(batch.inputs)
        return logits

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        features = self.network.features(batch.inputs)
        answers = in_float32(self.network.detailed(features))
        teacher, teacher_weight = self._teaching(features, batch)
        seen = Taught(
            answers,
            batch.step_targets,
            batch.weight,
            self.fit_config,
            self.distillation,
            self.lead,
            teacher,
            teacher_weight,
            self._teacher_share(batch),
        )
        parts = {
            name: weight * TERMS[name].loss(seen)
            for name, weight in self.weights.items()
            if teacher is not None or not TERMS[name].of_teacher
        }
        if self.foresight is not None:
            parts |= self.foresight.losses(answers, batch)
        return parts

    def _teaching(self, features: Tensor, batch: Batch) -> tuple[Answers | None, Tensor]:
        """What a teacher says, or None, and how much each step of its answer counts (B, T)."""
        if self.answers is not None and batch.step_answers is not None:
            known = batch.weight * (batch.step_answers != UNLABELLED)
            return Answers({"answer": self.answers[batch.step_answers.clamp(min=0)]}, {}), known
        if self.teacher is None:
            return None, batch.weight
        with torch.no_grad():
            seen = features if self._same_features else self.teacher.features(batch.inputs)
            return in_float32(self.teacher.detailed(seen, batch.lengths)), batch.weight

    def _teacher_share(self, batch: Batch) -> Tensor | None:
        """(B,) how much the teacher counts on each clip; None where it is the same for all."""
        if self.distillation.unlabelled == 1:
            return None
        labelled = (batch.step_targets >= 0).any(1)
        return torch.where(labelled, 1.0, self.distillation.unlabelled)
