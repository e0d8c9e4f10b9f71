"""A student's step as an ONNX graph."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence

import onnx
import torch
from torch import Tensor, nn

from inkling.models.bundle.schema import FrameInput, PoseInput
from inkling.models.networks import CausalNetwork

OPSET = 20
LOGITS = "logits"


class Step(nn.Module):
    """A student's `step` as `forward`: (*inputs, *state) -> (logits, *next_state)."""

    def __init__(self, student: CausalNetwork, names: Sequence[str]) -> None:
        """names: of the inputs."""
        super().__init__()
        self.student, self.names = student, names

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        count = len(self.names)
        x = given[0] if count == 1 else dict(zip(self.names, given[:count], strict=True))
        return self.student.step(x, *given[count:])


def step_onnx(student: CausalNetwork, takes: Sequence[PoseInput | FrameInput], name: str, version: str) -> bytes:
    """One causal step as an ONNX file: named inputs and states, dynamic batch axis, metadata `name` and `version`."""
    states = student.state_tensors()
    names = [given.name for given in takes]
    examples = [torch.zeros(2, *given.shape, dtype=getattr(torch, given.dtype)) for given in takes]
    batch = torch.export.Dim("batch", min=1, max=1 << 16)
    with _quiet():
        program = torch.onnx.export(
            Step(student.merged(), names).eval(),
            (*examples, *student.initial_state(2)),
            input_names=[*names, *(s.input for s in states)],
            output_names=[LOGITS, *(s.output for s in states)],
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
            dynamic_shapes=(tuple({0: batch} for _ in (*takes, *states)),),
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
