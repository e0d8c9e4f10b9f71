"""How weights move: the optimiser, its learning rate over the fit, and the average of the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from inkling.training.recipe.sections import Fit


def make_optimiser(parameters: Iterable[nn.Parameter], fit: Fit, clips: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """The optimiser that `fit` describes and its schedule, which is stepped after every batch. clips: of an epoch."""
    optimiser: torch.optim.Optimizer
    if fit.optimiser == "adamw":
        optimiser = torch.optim.AdamW(parameters, fit.learning_rate, weight_decay=fit.weight_decay, fused=True)
    else:
        optimiser = torch.optim.SGD(parameters, fit.learning_rate, fit.momentum, weight_decay=fit.weight_decay)
    steps = fit.epochs * math.ceil(clips / fit.batch_size)
    return optimiser, LambdaLR(optimiser, lambda step: rate_at(step, steps, fit))


def rate_at(step: int, steps: int, fit: Fit) -> float:
    """Share of the learning rate at an optimiser step: linear warm-up, then as the schedule says."""
    warm = fit.warmup * steps
    if step < warm:
        return (step + 1) / (warm + 1)
    if fit.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1.0, steps - warm))))


@dataclass(frozen=True, slots=True)
class RampedAverage:
    """Exponential averaging that forgets the first steps quickly: decay min(decay, (1 + n) / (10 + n)) at update n."""

    decay: float

    @torch.no_grad()
    def __call__(self, average: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        n = int(count)
        torch._foreach_lerp_(list(average), list(current), 1 - min(self.decay, (1 + n) / (10 + n)))
