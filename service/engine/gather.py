"""What the steps of one batch are given, side by side. Pure.

A step of a bundle of one input carries a row of it. A step of one that takes joints and pictures carries both, the
joints first; the people of a frame carry the same picture, which is copied once a row, into the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from inkling.models.arrays import Array
from inkling.models.bundle.inputs import Inputs
from inkling.models.bundle.schema import BundleSpec
from inkling.service.engine.scheduler import Step

Gather = Callable[[list[Step]], Inputs]
"""The steps of a batch -> what the engine is given for them, (B, ...) each."""


def gather_for(spec: BundleSpec) -> Gather:
    """How the batches of a bundle are gathered."""
    if spec.pose is None or spec.frame is None:
        return one_input
    pose, frame = spec.pose.name, spec.frame.name

    def several(steps: list[Step]) -> Inputs:
        xs: list[tuple[Any, Any]] = [step.lane.held if step.repeats else step.x for step in steps]  # type: ignore[misc]
        return {pose: _prepared(steps, [x[0] for x in xs]), frame: _stack([x[1] for x in xs])}

    return several


def one_input(steps: list[Step]) -> Array:
    """(B, *input shape)."""
    return _prepared(steps, [step.lane.held if step.repeats else step.x for step in steps])


def _prepared(steps: list[Step], xs: Sequence[Any]) -> Array:
    """Rows as the sessions accepted them, prepared. Streams of one kind share their `prepare`, so that most batches
    call it once."""
    kinds = {step.lane.prepare for step in steps}
    if len(kinds) == 1:
        return kinds.pop()(_stack(xs))
    inputs: Array | None = None
    for prepare in kinds:
        where = [i for i, step in enumerate(steps) if step.lane.prepare == prepare]
        part = prepare(_stack([xs[i] for i in where]))
        if inputs is None:
            inputs = np.empty((len(steps), *part.shape[1:]), part.dtype)
        inputs[where] = part
    assert inputs is not None  # noqa: S101 - a batch is never empty
    return inputs


def _stack(xs: Sequence[Any]) -> Array:
    """B arrays (J, ...) of one shape -> (B, J, ...); several times as fast as np.stack for small ones."""
    shape = xs[0].shape
    if len(shape) < 2:
        return np.stack(xs)
    return np.concatenate(xs).reshape(len(xs), *shape)
