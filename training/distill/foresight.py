"""What an anticipating student learns from a recogniser that sees further by the time that it looks ahead (paper B)."""

from __future__ import annotations

import torch
from torch import Tensor

from inkling.models.networks import Answers, CausalNetwork
from inkling.training.data.loader import Batch
from inkling.training.distill.losses import foreseeing_pairs, foreseen_answers_loss, foreseen_states_loss
from inkling.training.labels import UNLABELLED
from inkling.training.recipe.sections import Recogniser


class Foresight:
    """A trained recogniser, what is learned from it, and over how many steps."""

    def __init__(self, recogniser: CausalNetwork, wanted: Recogniser, ahead: int, temperature: float) -> None:
        """ahead: steps that it sees further. temperature: divides the logits of both in L_c."""
        self.recogniser = recogniser.eval().requires_grad_(False)
        self.wanted, self.ahead, self.temperature = wanted, ahead, temperature

    def losses(self, answers: Answers, batch: Batch) -> dict[str, Tensor]:
        """The parts of the loss of a student's answers to a batch, weighted: those of the stage that answers."""
        wanted, ahead, parts = self.wanted, self.ahead, dict[str, Tensor]()
        with torch.no_grad():
            later = self.recogniser.detailed(self.recogniser.features(batch.inputs))
        pairs = foreseeing_pairs(batch.weight, ahead, batch.leads)
        if wanted.answers > 0:
            labelled = batch.step_targets[:, : pairs.shape[1]] != UNLABELLED
            counted = torch.where(labelled, wanted.labelled, 1.0) * pairs
            loss = foreseen_answers_loss(answers.logits, later.logits.float(), counted, ahead, self.temperature)
            parts["foreseen answers"] = wanted.answers * loss
        if wanted.states > 0:
            ours, theirs = answers.hidden.float(), later.hidden.float()
            parts["foreseen states"] = wanted.states * foreseen_states_loss(ours, theirs, pairs, ahead)
        return parts
