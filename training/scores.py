"""How well, and how early: accuracy at observation ratios, as functions of arrays.

A clip of T steps observed to the ratio r is judged by the prediction at its step ceil(T r), counted from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inkling.training.data.corpus import Example
from inkling.training.data.loader import plain_batches

RATIOS = tuple(r / 10 for r in range(1, 11))
Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]
Predict = Callable[[Any], Tensor]
"""x (B, T, J, C), or that of each input by its name -> logits (B, T, K), causal, each clip from the initial state."""


def observed_steps(lengths: Tensor, leads: Tensor | None = None) -> Tensor:
    """(B,) clip lengths -> (B, 10) index of the step at which each ratio is reached.

    leads: (B,) steps at the beginning that are not the clip's own, of which the ratio does not count.
    """
    if leads is not None:
        return observed_steps(lengths - leads) + leads[:, None]
    # in integers: ceil(T * 0.3) in floats is one too many for T = 10
    tenths = torch.arange(1, len(RATIOS) + 1, device=lengths.device)
    return (lengths[:, None] * tenths + 9) // 10 - 1


def at_ratios(logits: Tensor, lengths: Tensor, leads: Tensor | None = None) -> Tensor:
    """(B, T, K) and (B,) -> (B, 10, K): the logits of the steps at which each ratio is reached."""
    steps = observed_steps(lengths, leads)
    return logits.gather(1, steps[:, :, None].expand(-1, -1, logits.shape[2]))


def step_logits(predict: Predict, examples: Sequence[Example]) -> list[Floats]:
    """Logits (T, K) of every step of each example, in their order; the steps that lead in are included."""
    if not examples:
        raise ValueError("there are no clips to measure on")
    by_clip: dict[int, Floats] = {}
    with torch.no_grad():
        for indices, batch in plain_batches(examples):
            logits = predict(batch.inputs).cpu()
            for i, clip, length in zip(indices, logits, batch.lengths.tolist(), strict=True):
                by_clip[i] = clip[:length].numpy().copy()
    return [by_clip[i] for i in range(len(examples))]


def ratio_steps(examples: Sequence[Example]) -> Ints:
    """(N, 10) index of the step at which each example reaches each ratio."""
    lengths, leads = (torch.tensor(values) for values in ([len(e.pose) for e in examples], [e.lead for e in examples]))
    return observed_steps(lengths, leads).numpy()


def targets_of(examples: Sequence[Example]) -> Ints:
    """(N,) index of each example's label."""
    return np.array([e.target for e in examples], np.int64)


def ratio_logits(predict: Predict, examples: Sequence[Example]) -> tuple[Floats, Ints]:
    """Logits (N, 10, K) and targets (N,) of all examples, in their order."""
    steps = step_logits(predict, examples)
    return np.stack([clip[at] for clip, at in zip(steps, ratio_steps(examples), strict=True)]), targets_of(examples)


def accuracy(logits: Floats, targets: Ints, among: Sequence[int] | None = None) -> NDArray[np.float64]:
    """Share of right answers at each ratio, (10,), of logits (N, 10, K); `among`: the labels that may be answered."""
    if among is not None:
        allowed = np.full(logits.shape[-1], -np.inf)
        allowed[list(among)] = 0.0
        logits = logits + allowed
    return np.asarray((logits.argmax(-1) == targets[:, None]).mean(0), np.float64)


def auc(accuracies: Floats) -> float:
    """Mean accuracy over the ten ratios (paper A's AUC), in [0, 1]."""
    return float(np.mean(accuracies))


def confusion(logits: Floats, targets: Ints) -> Ints:
    """Counts (K, K) at the whole clip: rows are true labels, columns answers."""
    classes = logits.shape[-1]
    cells = targets * classes + logits[:, -1].argmax(-1)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def log_probabilities(logits: Floats, temperature: float | Floats = 1.0) -> NDArray[np.float64]:
    """Log of softmax(logits / temperature) over the last axis; temperature: of all, or of each without that axis."""
    scaled = np.asarray(logits, np.float64) / np.asarray(temperature, np.float64)[..., None]
    scaled = scaled - scaled.max(-1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(-1, keepdims=True)), np.float64)


def surprises(logits: Floats, targets: Ints, temperature: float | Floats = 1.0) -> NDArray[np.float64]:
    """(N, R) negative log-likelihood of the true labels (N,) under logits (N, R, K), nats."""
    return -log_probabilities(logits, temperature)[np.arange(len(targets)), :, targets]


def surprise(logits: Floats, targets: Ints, temperature: float | Floats = 1.0) -> float:
    """Mean negative log-likelihood of the true labels over clips and ratios, nats."""
    return float(surprises(logits, targets, temperature).mean())


def calibration_error(logits: Floats, targets: Ints, temperature: float | Floats = 1.0, bins: int = 15) -> float:
    """Expected calibration error over clips and ratios: mean |confidence - accuracy| in equal bins of confidence.

    Guo et al., On Calibration of Modern Neural Networks, 2017.
    """
    probabilities = np.exp(log_probabilities(logits, temperature))
    confidence = probabilities.max(-1).ravel()
    right = (probabilities.argmax(-1) == targets[:, None]).ravel()
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, confidence - right, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def brier_score(logits: Floats, targets: Ints, temperature: float | Floats = 1.0) -> float:
    """Mean over clips and ratios of the squared distance between probabilities and truth, in [0, 2] (Brier, 1950)."""
    distance = np.exp(log_probabilities(logits, temperature))
    distance[np.arange(len(targets)), :, targets] -= 1
    return float((distance**2).sum(-1).mean())
