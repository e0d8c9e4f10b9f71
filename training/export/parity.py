"""Proof that a step graph is its torch network, step by step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from inkling.models.arrays import Array
from inkling.models.bundle.schema import TOLERANCE
from inkling.models.networks import Student
from inkling.training.errors import ExportError
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.export.step_graph import LOGITS


def check_parity(
    student: Student,
    graph: OnnxGraph,
    poses: Array,
    *,
    input_name: str = "pose",
    sequence_steps: int | None = None,
    tolerance: float = TOLERANCE,
) -> float:
    """Largest difference of logits between the ONNX graph and torch, over poses (S, B, J, D + 1) or frames.

    Torch is run both step by step and as a sequence (of the first `sequence_steps`), since it is the sequence that was
    trained. Raises ExportError when a difference is beyond `tolerance`, or anything is not finite.
    """
    states = student.state_tensors()
    with torch.no_grad():
        sequence = student(torch.from_numpy(poses[:sequence_steps]).transpose(0, 1)).transpose(0, 1).numpy()
        torch_state: Sequence[Tensor] = student.initial_state(poses.shape[1])
        onnx_state = {s.input: tensor.numpy() for s, tensor in zip(states, torch_state, strict=True)}
        worst = 0.0
        for i, pose in enumerate(poses):
            logits, *torch_state = student.step(torch.from_numpy(pose), *torch_state)
            found = graph.run({input_name: pose, **onnx_state})
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
