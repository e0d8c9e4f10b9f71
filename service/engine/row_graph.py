"""A bundle's step, rewritten to work on rows of slabs: gather, step and scatter in one graph. Pure: bytes to bytes.

A device engine keeps the state of all tracks on the device, one slab per state tensor, and every run reads some rows
and writes others:

    (input (B, ...), inkling.rows (B, 2), slab of each state (R, *shape))
        -> (inkling.result (B, K + 1), the same slabs with B rows written)

`inkling.rows` holds the row to read and the row to write, of each row of the batch. The result is the logits, and a
last column that is 0 where everything that the step gave is finite, and not a number elsewhere.

The service does not depend on the `onnx` package. None is needed: nodes are put before and after those of the bundle's
graph, whose own names stay; only the lists of inputs and outputs are new. That takes the few protobuf messages below
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.onnx_header import fields
from inkling.models.bundle.schema import BundleSpec, StateTensor

ROWS = "inkling.rows"
RESULT = "inkling.result"
_FLOAT, _INT64 = 1, 7  # TensorProto.DataType
_TYPES = {"float32": _FLOAT, "int64": _INT64}
_GRAPH = 7  # field of ModelProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12  # fields of GraphProto
_INT, _BYTES = 0, 2  # wire types

Part = tuple[int, int | bytes | memoryview]
"""A field's number, and its value: an integer, or bytes, text or a message already written."""


def slab(state: StateTensor) -> str:
    """Name of the slab that a run reads."""
    return f"inkling.slab.{state.input}"


def next_slab(state: StateTensor) -> str:
    """Name of the slab that a run writes; to be bound to the same memory, then nothing but the rows is moved."""
    return f"inkling.next.{state.input}"


def row_graph(step: bytes, spec: BundleSpec) -> bytes:
    """The ONNX file of a bundle's step over rows of slabs. Raises ValueError when `step` is not one."""
    model = list(fields(memoryview(step)))
    graph = next((value for field, value in model if field == _GRAPH), None)
    if graph is None or isinstance(graph, int):
        raise ValueError("not an ONNX model: it has no graph")
    parts = list(fields(graph))
    nodes = [value for field, value in parts if field == _NODE]
    taken = [value for field, value in parts if field == _INPUT and _name(value) == spec.input.name]
    slabs = [(s, _TYPES[s.dtype]) for s in spec.state]
    rewritten: list[Part] = [
        *((_NODE, node) for node in (*_gather(spec), *nodes, *_scatter(spec))),
        *((field, value) for field, value in parts if field not in (_NODE, _INPUT, _OUTPUT)),
        *((_INITIALIZER, constant) for constant in _constants()),
        *((_INPUT, value) for value in (*taken, _value(ROWS, _INT64, ("batch", 2)))),
        *((_INPUT, _value(slab(s), kind, ("rows", *s.shape))) for s, kind in slabs),
        (_OUTPUT, _value(RESULT, _FLOAT, ("batch", len(spec.labels) + 1))),
        *((_OUTPUT, _value(next_slab(s), kind, ("rows", *s.shape))) for s, kind in slabs),
    ]
    return _message([*(part for part in model if part[0] != _GRAPH), (_GRAPH, _message(rewritten))])


def _constants() -> list[bytes]:
    return [
        _tensor("inkling.first", np.array(0, np.int64)),
        _tensor("inkling.second", np.array([1], np.int64)),
        # The same number, yet not the same tensor: a device wants indices on itself, and axes on the host.
        _tensor("inkling.axis", np.array([1], np.int64)),
        _tensor("inkling.zero", np.array(0, np.float32)),
    ]


def _gather(spec: BundleSpec) -> list[bytes]:
    """Each state's rows, under the name that the bundle's graph calls its input."""
    return [
        _node("Gather", [ROWS, "inkling.first"], "inkling.from", axis=1),  # (B,)
        *(_node("Gather", [slab(s), "inkling.from"], s.input, axis=0) for s in spec.state),
    ]


def _scatter(spec: BundleSpec) -> list[bytes]:
    """The next states into their rows, and whether each row is finite: 0 times anything else is not a number."""
    nodes = [_node("Gather", [ROWS, "inkling.second"], "inkling.to", axis=1)]  # (B, 1)
    nodes += [_node("ScatterND", [slab(s), "inkling.to", s.output], next_slab(s)) for s in spec.state]
    checked = [spec.logits, *(s.output for s in spec.state if s.dtype == "float32")]
    for name in checked:
        nodes += [
            _node("Flatten", [name], f"inkling.flat.{name}", axis=1),
            _node("Mul", [f"inkling.flat.{name}", "inkling.zero"], f"inkling.naught.{name}"),
            _node("ReduceSum", [f"inkling.naught.{name}", "inkling.axis"], f"inkling.fault.{name}", keepdims=1),
        ]
    nodes.append(_node("Sum", [f"inkling.fault.{name}" for name in checked], "inkling.fault"))
    nodes.append(_node("Concat", [spec.logits, "inkling.fault"], RESULT, axis=1))
    return nodes


# -- protobuf ---------------------------------------------------------------------------------------------------------
def _message(parts: Iterable[Part]) -> bytes:
    out = bytearray()
    for field, value in parts:
        if isinstance(value, int):
            out += _varint(field << 3 | _INT) + _varint(value)
        else:
            out += _varint(field << 3 | _BYTES) + _varint(len(value)) + value
    return bytes(out)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _node(kind: str, inputs: Sequence[str], output: str, **integers: int) -> bytes:
    """A NodeProto with one output, named after it; attributes are integers."""
    parts: list[Part] = [*((1, name.encode()) for name in inputs), (2, output.encode()), (3, output.encode())]
    parts.append((4, kind.encode()))
    # AttributeProto: name, i, type INT
    parts += [(5, _message([(1, name.encode()), (3, value), (20, 2)])) for name, value in integers.items()]
    return _message(parts)


def _tensor(name: str, array: NDArray[Any]) -> bytes:
    """A TensorProto: dims, data type, name, raw data."""
    kind = _TYPES[str(array.dtype)]
    dims = [(1, size) for size in array.shape]
    return _message([*dims, (2, kind), (8, name.encode()), (9, array.astype(array.dtype.newbyteorder("<")).tobytes())])


def _value(name: str, kind: int, shape: Sequence[int | str]) -> bytes:
    """A ValueInfoProto: a tensor's name, element type, and shape with names for free axes."""
    dims = [(1, _message([(1, size) if isinstance(size, int) else (2, size.encode())])) for size in shape]
    tensor = _message([(1, kind), (2, _message(dims))])
    return _message([(1, name.encode()), (2, _message([(1, tensor)]))])


def _name(message: int | memoryview) -> str:
    """Field 1 of a message, text."""
    if isinstance(message, int):
        raise ValueError("not an ONNX model: a number where a message belongs")
    value = next((value for field, value in fields(message) if field == 1), b"")
    if isinstance(value, int):
        raise ValueError("not an ONNX model: a number where text belongs")
    return bytes(value).decode("utf-8")
