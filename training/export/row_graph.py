"""Writes `rows.onnx`: a bundle's step between a gather and a scatter (`inkling.models.bundle.rows` says what for).

Nodes are put before and after those of the step, whose own names stay; only the lists of inputs and outputs are new.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from inkling.models.arrays import Array
from inkling.models.bundle.rows import RESULT, ROWS, next_slab, slab
from inkling.models.bundle.schema import StateTensor

_FIRST, _SECOND, _AXIS, _ZERO = "inkling.first", "inkling.second", "inkling.axis", "inkling.zero"
_READ, _WRITTEN, _FAULT = "inkling.from", "inkling.to", "inkling.fault"


def rows_onnx(step: bytes, logits: str, state: Sequence[StateTensor]) -> bytes:
    """The step over rows of slabs. logits: the step's name of its answer (B, K). All its other inputs stay inputs.

    Opset and metadata stay those of the step. Raises onnx's errors when `step` is no model, or not one of this state.
    """
    model = onnx.load_model_from_string(step)
    graph = model.graph
    given = [value for value in graph.input if value.name not in {s.input for s in state}]
    classes = next(value for value in graph.output if value.name == logits).type.tensor_type.shape.dim[1].dim_value
    nodes = [*_gather(state), *graph.node, *_scatter(logits, state)]
    inputs = [*given, _value(ROWS, "int64", "batch", 2), *(_value(slab(s), s.dtype, "rows", *s.shape) for s in state)]
    outputs = [_value(RESULT, "float32", "batch", classes + 1)]
    outputs += [_value(next_slab(s), s.dtype, "rows", *s.shape) for s in state]
    for kept, parts in ((graph.node, nodes), (graph.input, inputs), (graph.output, outputs)):
        copies = [type(part).FromString(part.SerializeToString()) for part in parts]
        del kept[:]
        kept.extend(copies)
    graph.initializer.extend(_constants())
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _constants() -> list[TensorProto]:
    # The axis is the same number as the second, yet another tensor: a device wants indices on itself, axes on the host.
    values: dict[str, Array] = {
        _FIRST: np.array(0, np.int64),
        _SECOND: np.array([1], np.int64),
        _AXIS: np.array([1], np.int64),
        _ZERO: np.array(0, np.float32),
    }
    return [numpy_helper.from_array(value, name) for name, value in values.items()]


def _gather(state: Sequence[StateTensor]) -> list[NodeProto]:
    """Each state's rows, under the name that the step calls its input."""
    return [
        _node("Gather", [ROWS, _FIRST], _READ, axis=1),  # (B,)
        *(_node("Gather", [slab(s), _READ], s.input, axis=0) for s in state),
    ]


def _scatter(logits: str, state: Sequence[StateTensor]) -> list[NodeProto]:
    """The next states into their rows, and whether each row is finite: 0 times anything else is not a number."""
    nodes = [_node("Gather", [ROWS, _SECOND], _WRITTEN, axis=1)]  # (B, 1)
    nodes += [_node("ScatterND", [slab(s), _WRITTEN, s.output], next_slab(s)) for s in state]
    checked = [logits, *(s.output for s in state if s.dtype == "float32")]
    for name in checked:
        nodes += [
            _node("Flatten", [name], f"inkling.flat.{name}", axis=1),
            _node("Mul", [f"inkling.flat.{name}", _ZERO], f"inkling.naught.{name}"),
            _node("ReduceSum", [f"inkling.naught.{name}", _AXIS], f"{_FAULT}.{name}", keepdims=1),
        ]
    nodes.append(_node("Sum", [f"{_FAULT}.{name}" for name in checked], _FAULT))
    nodes.append(_node("Concat", [logits, _FAULT], RESULT, axis=1))
    return nodes


def _node(kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> NodeProto:
    """A node with one output, named after it."""
    return helper.make_node(kind, inputs, [output], name=output, **attributes)


def _value(name: str, dtype: str, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
