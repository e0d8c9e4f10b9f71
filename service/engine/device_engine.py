"""The engine of a device of its own: the state of every track stays there, and only poses and logits travel.

One run does it all: a bundle's `rows.onnx` has the gather before its step and the scatter behind it, both by row of
a slab per state tensor (`inkling.models.bundle.rows`). The slabs are bound as inputs and as outputs, the same memory:
onnxruntime then moves the rows of the batch and nothing else.

Every place has two rows, and they take turns: a run reads one and writes the other, and only when it has ended well
does the host say which is now the one to read. So a run that fails, a row that is not finite, a late step, and the
extra runs by which a CUDA graph is recorded (onnxruntime steps several times then) all change nothing. Two more rows
follow those: the initial one, which fresh tracks read, and a spare one, which whatever fills up a batch writes.

Batch sizes are rounded up to a power of two: each has its buffers and its binding, made once, and its CUDA graph where
a replay is faster. On the CPU (`device="cpu"`) everything but the recording of graphs is the same; that is how it is
tested.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle import Bundle, TensorInfo, verify_rows
from inkling.models.bundle.inputs import Inputs, named
from inkling.models.bundle.rows import RESULT, ROWS, next_slab, slab
from inkling.models.bundle.schema import ROWS_FILE, BundleSpec
from inkling.models.errors import BundleInvalid
from inkling.service.engine.onnx_engine import Device, Engine, runtime, session, tensors
from inkling.service.engine.state_pool import Indices, RowMask, StatePool

log = logging.getLogger(__name__)

_PLAIN = "-1"  # the number by which onnxruntime is told to run without a graph
_TRIES = 20
_GAIN = 0.95
"""A graph is used when its replay takes at most this share of a plain run."""
_SAME = 1e-5
GRAPHS_SINCE = (1, 31)
"""Of onnxruntime: releases before it replay stale buffers of GatherND, Concat and ScatterND (its 32120, 32121)."""
_VERSION = tuple(int(part) for part in runtime.__version__.split(".")[:2])


def buckets(max_batch: int) -> list[int]:
    """Powers of two below `max_batch`, and it."""
    return sorted({min(1 << power, max_batch) for power in range(max_batch.bit_length() + 1)})


class DevicePool(StatePool):
    """Every state tensor of a bundle as rows of a slab on the device: two for each place, the initial, the spare."""

    def __init__(self, spec: BundleSpec, slots: int, max_batch: int, device: Device, runs: Any) -> None:
        super().__init__(slots)
        self._turn = np.zeros(slots, np.int64)  # which of its two rows holds a place's state
        self._initial, self._spare = 2 * slots, 2 * slots + 1
        self.slabs = {
            s.input: runtime.OrtValue.ortvalue_from_numpy(
                np.full((2 * slots + 2, *s.shape), s.initial, s.dtype), device
            )
            for s in spec.state
        }
        self._buckets = [Bucket(spec, size, self._fill, self.slabs, device, runs) for size in buckets(max_batch)]

    @property
    def _fill(self) -> tuple[int, int]:
        """The rows that whatever fills up a batch reads and writes."""
        return self._initial, self._spare

    def bucket(self, batch: int) -> Bucket:
        """The smallest that takes `batch` rows."""
        return next(bucket for bucket in self._buckets if bucket.size >= batch)

    def buckets(self) -> list[Bucket]:
        return self._buckets

    def aim(self, bucket: Bucket, rows: Indices, generations: Indices, epochs: Indices) -> None:
        """Fill in which rows of the slabs the next run of `bucket` reads and writes."""
        batch = len(rows)
        holding = 2 * rows + self._turn[rows]
        bucket.rows[:batch, 0] = np.where(self.fresh(rows, generations, epochs), self._initial, holding)
        bucket.rows[:batch, 1] = holding ^ 1
        bucket.rows[batch:] = self._fill

    def turn(self, rows: Indices, generations: Indices, epochs: Indices, keep: RowMask | None) -> None:
        """What the run wrote for these rows is their state now, where the tenant of `generations` is still theirs."""
        stored = self.stored(rows, generations, keep)
        if not stored.all():
            rows, generations, epochs = rows[stored], generations[stored], epochs[stored]
        self._turn[rows] ^= 1
        self.mark(rows, generations, epochs)


class Bucket:
    """What runs of one batch size share: buffers on the host and the device, their binding, and how to run."""

    def __init__(
        self, spec: BundleSpec, size: int, fill: tuple[int, int], slabs: dict[str, Any], device: Device, runs: Any
    ) -> None:
        """fill: the rows to read and to write until told otherwise."""
        self.size = size
        self.inputs = {given.name: np.zeros((size, *given.shape), given.dtype) for given in spec.inputs}
        self.rows = np.full((size, 2), fill, np.int64)
        self._device_inputs = {
            name: runtime.OrtValue.ortvalue_from_numpy(array, device) for name, array in self.inputs.items()
        }
        self._device_rows = runtime.OrtValue.ortvalue_from_numpy(self.rows, device)
        shape = (size, len(spec.labels) + 1)
        self._result = runtime.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, device)
        self._runs = runs
        self._binding = runs.io_binding()
        for name, value in self._device_inputs.items():
            self._binding.bind_ortvalue_input(name, value)
        self._binding.bind_ortvalue_input(ROWS, self._device_rows)
        self._binding.bind_ortvalue_output(RESULT, self._result)
        for s in spec.state:
            self._binding.bind_ortvalue_input(slab(s), slabs[s.input])
            self._binding.bind_ortvalue_output(next_slab(s), slabs[s.input])
        self._plain, self._graph = _options(_PLAIN), _options(str(size))
        self.replays = False
        """Whether runs replay a CUDA graph."""

    def run(self) -> NDArray[np.float32]:
        """Step `inputs` from and to `rows` -> (size, K + 1), valid until the next run."""
        self.send()
        self._runs.run_with_iobinding(self._binding, self._graph if self.replays else self._plain)
        return self.fetch()

    def send(self) -> None:
        """The inputs to the device."""
        for name, array in self.inputs.items():
            self._device_inputs[name].update_inplace(array)
        self._device_rows.update_inplace(self.rows)

    def fetch(self) -> NDArray[np.float32]:
        """The result from it."""
        result: NDArray[np.float32] = self._result.numpy()
        return result


class DeviceEngine(Engine):
    """An engine whose pools are on its device. See the top of this file.

    graphs: whether CUDA graphs may be used where they pay. Raises as `Engine` does, BundleInvalid also when the bundle
    has no `rows.onnx`, and BundleDisagrees when that is not the model of `step.onnx`.
    """

    def __init__(
        self, bundle: Bundle, threads: int | None = None, device: Device = "cuda", *, graphs: bool = True
    ) -> None:
        if bundle.rows is None:
            raise BundleInvalid(bundle.path, f"it has no {ROWS_FILE}, without which state cannot stay on a device")
        super().__init__(bundle, threads, device)
        self._device = device
        self._graphs = graphs and _VERSION >= GRAPHS_SINCE
        self._pools: list[DevicePool] = []
        try:
            self._runs = session(bundle, bundle.rows, threads, device, graphs=self._graphs)
        except BundleInvalid as error:
            if not self._graphs:
                raise
            log.warning("%s: CUDA graphs are not used: %s", self.spec.full_name, error)
            self._graphs = False
            self._runs = session(bundle, bundle.rows, threads, device)
        verify_rows(bundle, RowGraph(self._runs), self)

    def pool(self, slots: int, max_batch: int) -> DevicePool:
        pool = DevicePool(self.spec, slots, max_batch, self._device, self._runs)
        self._pools.append(pool)
        for bucket in pool.buckets():
            bucket.run()  # what onnxruntime sets up at a new batch size
        return pool

    def advance(
        self, pool: StatePool, rows: Indices, generations: Indices, epochs: Indices, x: Inputs
    ) -> tuple[NDArray[np.float32], RowMask | None]:
        if not isinstance(pool, DevicePool):
            raise TypeError("a pool of another engine")
        batch = len(rows)
        bucket = pool.bucket(batch)
        pool.aim(bucket, rows, generations, epochs)
        for name, array in named(self.spec, x).items():
            bucket.inputs[name][:batch] = array
        result = self._launch(bucket, batch)
        logits, finite = result[:, :-1], result[:, -1] == 0
        keep = None if finite.all() else finite
        pool.turn(rows, generations, epochs, keep)
        return logits, keep

    def _launch(self, bucket: Bucket, batch: int) -> NDArray[np.float32]:
        """(batch, K + 1) of the filled bucket."""
        return bucket.run()[:batch].copy()

    def prepare_thread(self) -> None:
        """Record CUDA graphs and keep those that pay. On the thread that will run steps: graphs belong to a thread."""
        if not self._graphs:
            return
        for pool in self._pools:
            try:
                choose_graphs(pool.buckets())
            except Exception as error:  # noqa: BLE001 - whatever the runtime raises: without graphs it is only slower
                log.warning("%s: CUDA graphs are not used: %s", self.spec.full_name, error)
                for bucket in pool.buckets():
                    bucket.replays = False

    def warm(self, batches: Iterable[int]) -> None:
        """Only what steps a track alone: a pool warms the sizes that it is made for."""
        super().warm([1])


class RowGraph:
    """`rows.onnx` in onnxruntime, fed from the host (a `inkling.models.bundle.StepGraph`): to verify it."""

    def __init__(self, runs: Any) -> None:
        self._runs = runs
        self.inputs: dict[str, TensorInfo] = tensors(runs.get_inputs())
        self.outputs: dict[str, TensorInfo] = tensors(runs.get_outputs())

    def run(self, feeds: Mapping[str, Array], /) -> dict[str, Array]:
        names = list(self.outputs)
        return dict(zip(names, self._runs.run(names, dict(feeds), _options(_PLAIN)), strict=True))


def engine_for(bundle: Bundle, threads: int | None, device: Device, *, graphs: bool) -> Engine:
    """The engine for a device: the plain one for the CPU, whose rows need no moving. Raises as `Engine` does.

    A bundle without `rows.onnx` has the plain one everywhere, and the log says what that costs.
    """
    if device == "cpu":
        return Engine(bundle, threads)
    if bundle.rows is None:
        log.warning(
            "%s has no %s: the state of its tracks travels to the device and back at every step; "
            "inkling train upgrade writes a version that has it",
            bundle.spec.full_name, ROWS_FILE,
        )  # fmt: skip
        return Engine(bundle, threads, device)
    return DeviceEngine(bundle, threads, device, graphs=graphs)


def choose_graphs(pool_buckets: Iterable[Bucket]) -> None:
    """Let each bucket replay a CUDA graph where that is faster, unless any replay differs from a plain run.

    Where a replay reads stale buffers, it is after a run of another shape: so all are recorded first, and then compared
    in turns.
    """
    pool_buckets = list(pool_buckets)
    rng = np.random.default_rng(0)
    for bucket in pool_buckets:
        for array in bucket.inputs.values():
            array[:] = rng.integers(0, 200, array.shape)
        bucket.replays = True
        bucket.run()
    for _ in range(2):
        for bucket in pool_buckets:
            if not np.allclose(_once(bucket, replay=True), _once(bucket, replay=False), atol=_SAME, equal_nan=True):
                log.warning("CUDA graphs are not used: a replay at batch %d gave other numbers", bucket.size)
                for other in pool_buckets:
                    other.replays = False
                return
    for bucket in pool_buckets:
        plain_s, replay_s = (_seconds(bucket, replay=replay) for replay in (False, True))
        bucket.replays = replay_s <= _GAIN * plain_s
        log.info(
            "batch %d: %.0f us, as a CUDA graph %.0f us: %s",
            bucket.size, plain_s * 1e6, replay_s * 1e6, "replayed" if bucket.replays else "run",
        )  # fmt: skip
        for array in bucket.inputs.values():
            array[:] = 0


def _once(bucket: Bucket, *, replay: bool) -> NDArray[np.float32]:
    bucket.replays = replay
    return bucket.run().copy()


def _seconds(bucket: Bucket, *, replay: bool) -> float:
    """The median time of a run."""
    taken = []
    for _ in range(_TRIES):
        begin = time.perf_counter()
        _once(bucket, replay=replay)
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken))


def _options(graph: str) -> Any:
    options = runtime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", graph)
    return options
