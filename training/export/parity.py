"""Proof that a step graph is its torch network, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inkling.models.bundle.inputs import Inputs, each, leading
from inkling.models.bundle.schema import TOLERANCE
from inkling.models.networks import CausalNetwork
from inkling.models.networks import Inputs as TensorInputs
from inkling.training.errors import ExportError
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.step_graph import LOGITS


def check_parity(
    student: CausalNetwork,
    graph: OnnxGraph,
    streams: Inputs,
    *,
    input_name: str = "pose",
    sequence_steps: int | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """Largest difference of logits between the ONNX graph and torch, over streams (S, B, *input), or those of each of
    several inputs by its name.

    Torch is run both step by step and as a sequence (of the first `sequence_steps`), since it is the sequence that was
    trained. Raises ExportError when a difference is beyond `tolerance`, or anything is not finite.
    """
    states = student.state_tensors()
    with torch.no_grad():
        sequence = sequence_logits(student, each(streams, itemgetter(slice(sequence_steps))))
        steps, batch = leading(streams)[:2]
        torch_state: Sequence[Tensor] = student.initial_state(batch)
        onnx_state = {s.input: tensor.numpy() for s, tensor in zip(states, torch_state, strict=True)}
        worst = 0.0
        for i in range(steps):
            x = each(streams, itemgetter(i))
            logits, *torch_state = student.step(tensors_of(x), *torch_state)
            found = graph.run({**({input_name: x} if isinstance(x, np.ndarray) else x), **onnx_state})
            onnx_state = {s.input: found[s.output] for s in states}
            off_step = float(np.abs(found[LOGITS] - logits.numpy()).max())
            off_sequence = float(np.abs(found[LOGITS] - sequence[i]).max()) if i < len(sequence) else 0.0
            for what, off in (("one step", off_step), ("the sequence", off_sequence)):
                if not off <= tolerance:  # not a number is not within it either
                    raise ExportError(
                        f"step {i}: the ONNX graph is off torch's {what} by {off:.2g}; nothing was written"
                    )
            worst = max(worst, off_step, off_sequence)
    return worst


def sequence_logits(student: CausalNetwork, streams: Inputs) -> NDArray[np.float32]:
    """Logits (S, B, K) of streams (S, B, *input), which torch runs as sequences."""
    rows = each(streams, lambda array: array.swapaxes(0, 1))
    logits: NDArray[np.float32] = student(tensors_of(rows)).transpose(0, 1).contiguous().numpy()
    return logits


def tensors_of(x: Inputs) -> TensorInputs:
    """The same arrays as tensors."""
    if isinstance(x, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(x))
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in x.items()}
