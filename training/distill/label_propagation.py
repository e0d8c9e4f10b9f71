"""Labels for unlabelled clips, taken from labelled clips that look like them.

Each whole training clip is a node of a graph, joined to the clips most like it, and labels spread along the graph (Zhou
et al.: Learning with Local and Global Consistency, 2003). This needs few labels: with three labelled clips of a class a
trained teacher still knows little, while the graph is made from all clips, with or without a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inkling.models.skeletons import Skeleton
from inkling.training.augment.poses import mirrored
from inkling.training.data.corpus import Example
from inkling.training.data.loader import plain_batches

Floats = NDArray[np.float64]

NEIGHBOURS = 8
SPREAD = 0.9
"""How much of its answer a clip takes from its neighbours, between 0 and 1."""
SHARPNESS = 2.0
"""Exponent of the answers. It and the two constants above were chosen on training clips, with other labels drawn."""
DOUBT = 0.02
"""Share of every answer that is spread evenly over all labels."""


def neighbours_answers(extractor: nn.Module, examples: Sequence[Example], skeleton: Skeleton, classes: int) -> Tensor:
    """Log-probabilities (N, K) of training clips, from the labels that some of them have.

    Two clips are compared as they are and with one of them in a mirror; the smaller distance counts.
    """
    targets = np.array([e.target for e in examples])
    as_they_are = describe(extractor, examples)
    in_a_mirror = describe(extractor, [replace(e, pose=mirrored(e.pose, skeleton)) for e in examples])
    mean, deviation = as_they_are.mean(0), as_they_are.std(0) + 1e-3
    one, other = (np.clip((features - mean) / deviation, -4, 4) for features in (as_they_are, in_a_mirror))
    answers = spread(np.minimum(distances(one, one), distances(one, other)), targets, classes)
    return torch.from_numpy(np.log(answers)).float()


@torch.no_grad()
def describe(extractor: nn.Module, examples: Sequence[Example]) -> Floats:
    """Clips as vectors (N, 7 F): of each feature its mean, deviation, largest, smallest, first and last value, and its
    change from the first half of the clip to the second.
    """
    vectors: dict[int, Tensor] = {}
    for indices, batch in plain_batches(examples):
        for i, clip, length in zip(indices, extractor(batch.x), batch.lengths.tolist(), strict=True):
            steps, half = clip[:length], max(1, length // 2)
            change = steps[:half].mean(0) - steps[-half:].mean(0)
            limits = (steps.amax(0), steps.amin(0), steps[0], steps[-1])
            vectors[i] = torch.cat([steps.mean(0), steps.std(0, correction=0), *limits, change])
    return np.asarray(torch.stack([vectors[i] for i in range(len(examples))]), np.float64)


def distances(a: Floats, b: Floats) -> Floats:
    """Squared distances (N, N) of all rows, never negative."""
    return np.asarray(np.maximum((a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * a @ b.T, 0.0), np.float64)


def spread(apart: Floats, targets: NDArray[np.int64], classes: int) -> Floats:
    """Probabilities (N, K) of clips, from their squared distances (N, N) and the targets (N,) of the labelled ones.

    F = (I - s W)^-1 Y, where W joins each clip to its nearest ones and is normalised on both sides. Every class weighs
    the same, however many labelled clips it has. Raises ValueError where no clip is labelled.
    """
    labelled = targets >= 0
    if not labelled.any():
        raise ValueError("no clip has a label to spread")
    count = len(targets)
    apart = (apart + apart.T) / 2 + np.diag(np.full(count, np.inf))
    reach = np.sort(apart, 1)[:, min(NEIGHBOURS, count - 1) - 1][:, None] + 1e-12
    near = (apart <= reach) | (apart <= reach.T)
    weight = np.where(near, np.exp(-apart / (0.5 * np.sqrt(reach * reach.T))), 0.0)
    degree = np.sqrt(weight.sum(1) + 1e-12)
    labels = np.zeros((count, classes))
    labels[labelled, targets[labelled]] = 1.0
    scores = np.linalg.solve(np.eye(count) - SPREAD * weight / (degree[:, None] * degree), labels)
    scores = np.maximum(scores / (scores.sum(0) + 1e-12), 1e-12) ** SHARPNESS
    return np.asarray((1 - DOUBT) * scores / scores.sum(1, keepdims=True) + DOUBT / classes, np.float64)
