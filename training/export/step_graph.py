"""A student's step as an ONNX graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

import onnx
import torch
from torch import Tensor, nn

from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.models.networks import Student

OPSET = 20
LOGITS = "logits"


class Step(nn.Module):
    """A student's `step` as `forward`: (pose or frame, *state) -> (logits, *next_state)."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.student = student

    def forward(self, x: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return self.student.step(x, *state)


def step_onnx(student: Student, takes: PoseInput | FrameInput, name: str, version: str) -> bytes:
    """One causal step as an ONNX file: named states, dynamic batch axis, metadata `name` and `version`."""
    states = student.state_tensors()
    example = torch.zeros(2, *takes.shape, dtype=getattr(torch, takes.dtype))
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    with _quiet():
        program = torch.onnx.export(
            Step(student.merged()).eval(),
            (example, *student.initial_state(2)),
            input_names=[takes.name, *(s.input for s in states)],
            output_names=[LOGITS, *(s.output for s in states)],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=({0: batch}, tuple({0: batch} for _ in states)),
        )
    assert program is not None, "dynamo=True returns a program"  # noqa: S101
    return tidied(program.model_proto, name, version)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings: that torchvision is absent, and of deprecations inside itself."""
    exporter = logging.getLogger("torch.onnx._internal.exporter")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(level)


def tidied(model: onnx.ModelProto, name: str, version: str) -> bytes:
    """The model without the exporter's notes (source paths and stack traces of this machine), with our metadata."""
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {"name": name, "version": version})
    model.doc_string = model.graph.doc_string = ""
    model.graph.name = name
    for part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info, *model.functions):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.graph.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        axis = value.type.tensor_type.shape.dim[0]
        axis.Clear()
        axis.dim_param = "batch"
    onnx.checker.check_model(model, full_check=True)
    buffer = io.BytesIO()
    onnx.save(model, buffer)
    return buffer.getvalue()
