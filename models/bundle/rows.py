"""`rows.onnx`: a bundle's step over rows of slabs, so that the state of all tracks can stay on a device.

A device engine keeps one slab per state tensor on its device; each run reads some rows of the slabs and writes others:

    (inputs (B, ...), inkling.rows (B, 2) int64, slab of each state (R, *shape))
        -> (inkling.result (B, K + 1), the same slabs with B rows written)

`inkling.rows` holds the row to read and the row to write, for each row of the batch. The result is the logits, and a
last column that is 0 where everything that the step gave is finite, and not a number elsewhere.

The file is optional; `inkling.training.export.row_graph` writes it. It holds the weights of `step.onnx` once more,
since onnxruntime is given each graph as one piece of memory: that doubles a bundle. Here is what both sides must agree
on: the names, and the check that both graphs are the same model.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle.inputs import Inputs, each, leading, named
from inkling.models.bundle.loader import Bundle
from inkling.models.bundle.schema import ROWS_FILE, STEP_FILE, TOLERANCE, BundleSpec, StateTensor
from inkling.models.bundle.verify import StepGraph, Wanted, check_side, initial_state, run_vector
from inkling.models.errors import BundleDisagrees, BundleInvalid

ROWS = "inkling.rows"
RESULT = "inkling.result"


def slab(state: StateTensor) -> str:
    """Name of the slab that a run reads."""
    return f"inkling.slab.{state.input}"


def next_slab(state: StateTensor) -> str:
    """Name of the slab that a run writes; bound to the same memory, nothing but the rows of the batch is moved."""
    return f"inkling.next.{state.input}"


def verify_rows(bundle: Bundle, rows: StepGraph, step: StepGraph) -> None:
    """Raise unless `rows`, the bundle's `rows.onnx`, is the model of `step`, its verified `step.onnx`.

    Over the stored vector it must give the step's logits, write the rows that it is told and no others, and tell of a
    row that is not finite. Raises BundleInvalid when its tensors are others or it cannot run, BundleDisagrees when
    its numbers are others.
    """
    _check_tensors(bundle, rows)
    try:
        difference = _difference(bundle, rows, step)
    except Exception as error:  # each runtime has errors of its own
        raise BundleInvalid(bundle.path, f"{ROWS_FILE} fails on the test vector: {error}") from error
    if difference:
        raise BundleDisagrees(bundle.path, f"{ROWS_FILE} {difference}")


def _difference(bundle: Bundle, rows: StepGraph, step: StepGraph) -> str:
    """In what the graphs differ on the stored vector; empty when in nothing."""
    spec, inputs = bundle.spec, bundle.vector.given(bundle.spec)
    steps, batch = leading(inputs)[:2]
    memory, expected = _Slabs(spec, rows, batch), run_vector(spec, step, inputs)
    xs = [each(inputs, operator.itemgetter(number)) for number in range(steps)]
    for number, x in enumerate(xs):
        logits, finite = memory.step(x)
        if not finite.all():
            return f"calls a row not finite that is, in step {number}"
        if not (off := float(np.abs(logits - expected[number]).max())) <= TOLERANCE:
            return f"is off {STEP_FILE} by {off:.2g} in step {number}"
        if memory.strayed:
            return f"changes rows of the state {memory.strayed!r} that it was not told to write"
    if not np.array_equal(memory.poisoned(xs[0]), _finite_after_poison(spec, step, xs[0])):
        return "does not tell which rows are not finite"
    return ""


def _check_tensors(bundle: Bundle, graph: StepGraph) -> None:
    spec = bundle.spec
    wanted_in = {
        **{given.name: Wanted("input", given.dtype, given.shape) for given in spec.inputs},
        ROWS: Wanted("rows", "int64", (2,)),
        **{slab(s): Wanted("slab", s.dtype, s.shape, "rows") for s in spec.state},
    }
    wanted_out = {
        RESULT: Wanted("result", "float32", (len(spec.labels) + 1,)),
        **{next_slab(s): Wanted("slab", s.dtype, s.shape, "rows") for s in spec.state},
    }
    check_side(bundle.path, f"{ROWS_FILE}'s inputs", wanted_in, graph.inputs)
    check_side(bundle.path, f"{ROWS_FILE}'s outputs", wanted_out, graph.outputs)


@dataclass(slots=True)
class _Slabs:
    """Slabs on the host for B tracks, as a device engine would have them: two rows a track, and the initial one."""

    spec: BundleSpec
    graph: StepGraph
    batch: int
    slabs: dict[str, Array] = field(init=False)
    rows: NDArray[np.int64] = field(init=False)
    """(B, 2): what the next run reads and writes."""
    strayed: str = field(default="", init=False)
    """The first state of which a run changed a row that it was not to write."""

    def __post_init__(self) -> None:
        self.slabs = {
            slab(s): np.repeat(initial_state(self.spec, 1)[s.input], 2 * self.batch + 1, axis=0)
            for s in self.spec.state
        }
        tracks = np.arange(self.batch)[::-1]  # not the order of the batch
        self.rows = np.stack([np.full(self.batch, 2 * self.batch), 2 * tracks], axis=1)

    def step(self, x: Inputs) -> tuple[Array, NDArray[np.bool_]]:
        """x (B, ...) -> logits (B, K), and which rows are finite (B,); the tracks' states advance."""
        read, written = self.rows.T
        outputs = self.graph.run({**named(self.spec, x), ROWS: self.rows, **self.slabs})
        for s in self.spec.state:
            before, after = self.slabs[slab(s)], outputs[next_slab(s)]
            kept = np.delete(np.arange(len(before)), written)
            if after.shape != before.shape or not np.array_equal(after[kept], before[kept], equal_nan=True):
                self.strayed = self.strayed or s.input
            self.slabs[slab(s)] = after
        self.rows = np.stack([written, np.where(read == 2 * self.batch, written + 1, read)], axis=1)
        return outputs[RESULT][:, :-1], outputs[RESULT][:, -1] == 0

    def poisoned(self, x: Inputs) -> NDArray[np.bool_]:
        """Which rows (B,) are said to be finite when the first has a state that is not."""
        for s in self.spec.state:
            if s.dtype == "float32":
                self.slabs[slab(s)][self.rows[0, 0]] = np.nan
        return self.step(x)[1]


def _finite_after_poison(spec: BundleSpec, step: StepGraph, x: Inputs) -> NDArray[np.bool_]:
    """Which rows (B,) of a step are finite when the first has a state that is not."""
    batch = leading(x)[0]
    state = initial_state(spec, batch)
    for s in spec.state:
        if s.dtype == "float32":
            state[s.input][0] = np.nan
    outputs = step.run({**named(spec, x), **state})
    finite = np.ones(batch, np.bool_)
    for name in (spec.logits, *(s.output for s in spec.state if s.dtype == "float32")):
        finite &= np.isfinite(outputs[name].reshape(batch, -1)).all(axis=1)
    return finite
