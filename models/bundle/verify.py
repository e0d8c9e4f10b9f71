"""Check a graph against its bundle, through whatever runtime: names, shapes, and the numbers of the test vector."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle.inputs import Inputs, each, leading, named
from inkling.models.bundle.loader import Bundle
from inkling.models.bundle.schema import TOLERANCE, BundleSpec
from inkling.models.errors import BundleDisagrees, BundleInvalid

TensorInfo = tuple[str, tuple[int | None, ...]]
"""numpy dtype name, and shape with None for an axis that is free (the batch)."""


class StepGraph(Protocol):
    """A loaded `step.onnx`, as the runtime sees it."""

    @property
    def inputs(self) -> Mapping[str, TensorInfo]: ...

    @property
    def outputs(self) -> Mapping[str, TensorInfo]: ...

    def run(self, feeds: Mapping[str, Array], /) -> Mapping[str, Array]:
        """All outputs by name, for all inputs by name."""
        ...


def initial_state(spec: BundleSpec, batch: int) -> dict[str, Array]:
    """State of `batch` rows that have seen nothing: input name -> (batch, *shape)."""
    return {s.input: np.full((batch, *s.shape), s.initial, dtype=s.dtype) for s in spec.state}


def run_vector(spec: BundleSpec, graph: StepGraph, inputs: Inputs) -> NDArray[np.float32]:
    """Step the graph from its initial state over inputs (S, B, *input shape) -> logits (S, B, K)."""
    steps, batch = leading(inputs)[:2]
    by_name = named(spec, inputs)
    state = initial_state(spec, batch)
    logits = np.empty((steps, batch, len(spec.labels)), np.float32)
    for step in range(steps):
        outputs = graph.run({**{name: array[step] for name, array in by_name.items()}, **state})
        if outputs[spec.logits].shape != logits.shape[1:]:  # assignment would broadcast
            raise ValueError(f"logits are {outputs[spec.logits].shape}, not {logits.shape[1:]}")
        logits[step] = outputs[spec.logits]
        state = {s.input: outputs[s.output] for s in spec.state}
    return logits


def verify_graph(bundle: Bundle, graph: StepGraph) -> None:
    """Raise BundleInvalid unless the graph has the tensors of the spec, each with a free batch axis, and
    BundleDisagrees unless it reproduces the stored vector, all rows together and each row alone.

    The vector to the spec's tolerance; but whatever that is, a row alone gives what it gives beside others, for no row
    may see another.
    """
    spec = bundle.spec
    check_tensors(bundle, graph)
    inputs, expected = bundle.vector.given(spec), bundle.vector.logits
    batch = expected.shape[1]
    together: NDArray[np.float32] | None = None
    runs = [("together", slice(0, batch))]
    runs += [(f"in row {row} alone", slice(row, row + 1)) for row in range(batch)]
    for what, rows in runs:
        try:
            logits = run_vector(spec, graph, each(inputs, operator.itemgetter((slice(None), rows))))
        except Exception as error:  # each runtime has errors of its own
            raise BundleInvalid(bundle.path, f"the graph fails on its test vector {what}: {error}") from error
        if not np.isfinite(logits).all():
            raise BundleDisagrees(bundle.path, f"the test vector {what} gives logits that are not finite")
        worst = float(np.abs(logits - expected[:, rows]).max())
        if worst > spec.tolerance:
            raise BundleDisagrees(
                bundle.path, f"the test vector {what} is off by {worst:.2g}; {spec.tolerance:g} is allowed"
            )
        together = logits if together is None else together
        if (seen := float(np.abs(logits - together[:, rows]).max())) > TOLERANCE:
            raise BundleDisagrees(bundle.path, f"the test vector {what} is off by {seen:.2g} from all rows together")


def check_tensors(bundle: Bundle, graph: StepGraph) -> None:
    """Raise BundleInvalid unless inputs and outputs are those of the spec: names, dtypes, shapes, free batch axis."""
    spec = bundle.spec
    wanted_in = {given.name: Wanted("input", given.dtype, given.shape) for given in spec.inputs}
    wanted_out = {spec.logits: Wanted("logits", "float32", (len(spec.labels),))}
    for s in spec.state:
        wanted_in[s.input] = wanted_out[s.output] = Wanted("state", s.dtype, s.shape)
    check_side(bundle.path, "the graph's inputs", wanted_in, graph.inputs)
    check_side(bundle.path, "the graph's outputs", wanted_out, graph.outputs)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tensor that a graph must have. shape: without the first axis, which must be free and is called `axis`.

    Another axis that is None may have any size.
    """

    role: str
    dtype: str
    shape: tuple[int | None, ...]
    axis: str = "batch"

    def fits(self, found: TensorInfo) -> bool:
        """An axis that is None in `shape` may have any size, fixed or free."""
        dtype, (first, *rest) = found[0], found[1] or (0,)
        if dtype != self.dtype or first is not None or len(rest) != len(self.shape):
            return False
        return all(wanted in (None, size) for wanted, size in zip(self.shape, rest, strict=True))


def check_side(path: Path, where: str, wanted: Mapping[str, Wanted], found: Mapping[str, TensorInfo]) -> None:
    """Raise BundleInvalid unless the tensors on one side of a graph are those that are wanted, and no others."""
    for name, tensor in wanted.items():
        what = tensor.role if tensor.role == name else f"{tensor.role} {name!r}"
        if name not in found:
            raise BundleInvalid(path, f"{what} is missing from {where}")
        if not tensor.fits(found[name]):
            must, is_ = _show(tensor.dtype, (None, *tensor.shape), tensor.axis), _show(*found[name], tensor.axis)
            raise BundleInvalid(path, f"{what} must be {must} in {where}, it is {is_}")
    for name in found:
        if name not in wanted:
            raise BundleInvalid(path, f"{where} have {name!r}, which the spec does not name")


def _show(dtype: str, shape: tuple[int | None, ...], axis: str) -> str:
    sizes = ["?" if size is None else str(size) for size in shape[1:]]
    return f"{dtype} ({', '.join([axis if size is None else str(size) for size in shape[:1]] + sizes)})"
