"""A network optimised in a plain loop: the same weights as `learner.train` gives, without its checkpoints and curves.

For experiments of many short fits, where a killed one begins again.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from inkling.training.distill.learner import Learner
from inkling.training.scores import at_ratios
from inkling.training.seeds import mixed_seed


def optimise(learner: Learner) -> float:
    """Train to the last epoch on the CPU; returns the validation AUC, NaN where there are no validation clips.

    Afterwards `learner.network` has the averaged weights of the epoch that its recipe keeps.
    """
    fit, network = learner.fit_config, learner.network
    made = learner.configure_optimizers()
    optimiser, schedule = made["optimizer"], made["lr_scheduler"]["scheduler"]
    best, kept = -math.inf, None
    for epoch in range(fit.epochs):
        learner.train()
        for index, batch in enumerate(learner.batches(epoch)):
            torch.manual_seed(mixed_seed(learner.drawing.seed, epoch, index, 3))  # for dropout, as `Learner` does
            with _precision(fit.precision):
                loss = torch.stack(list(learner.losses(batch).values())).sum()
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(network.parameters(), fit.clip_norm)
            optimiser.step()
            schedule.step()
            learner.average.update_parameters(network)
        if learner.select == "best":
            score = validation_auc(learner)
            if score > best:
                best, kept = score, _copy(learner.average.module.state_dict())
    network.load_state_dict(kept if kept is not None else learner.average.module.state_dict())
    network.eval()
    return best if kept is not None else validation_auc(learner)


@torch.no_grad()
def validation_auc(learner: Learner) -> float:
    """AUC of the averaged weights on the validation clips, NaN without any."""
    network = learner.average.module.eval()
    right: list[Tensor] = []
    for batch in learner.validation:
        logits = at_ratios(learner.answer(network, batch), batch.lengths, batch.leads)
        right.append(logits.argmax(-1) == batch.targets[:, None])
    return float(torch.cat(right).double().mean()) if right else math.nan


def _precision(name: str) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16) if name == "bfloat16" else nullcontext()


def _copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}
