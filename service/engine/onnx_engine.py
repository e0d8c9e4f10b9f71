"""Run a bundle's step with onnxruntime. The only file that imports it."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle import Bundle, BundleSpec, PeopleBundle, TensorInfo, initial_state, verify_graph
from inkling.models.bundle.inputs import Inputs, named
from inkling.models.errors import BundleInvalid, InklingError
from inkling.service.engine.cuda_libraries import missing_driver, missing_library
from inkling.service.engine.state_pool import HostPool, Indices, RowMask, StatePool

try:
    import onnxruntime
except ImportError as missing:
    raise InklingError(
        "the service needs onnxruntime: the extra cpu brings it, or gpu with an NVIDIA driver; "
        "in a checkout: pip install '.[serve,cpu]'"
    ) from missing

runtime: Any = onnxruntime
"""onnxruntime for `device_engine`: it must not be imported before `inkling.models`, which forbids it to phone home."""

Device = Literal["cpu", "cuda"]

log = logging.getLogger(__name__)

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"

_DTYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(uint8)": "uint8"}


class DeviceMissing(InklingError):
    """The device that the settings ask for cannot be had; says what is missing."""


def resolve_device(device: Literal["auto", "cpu", "cuda"]) -> Device:
    """What to run on. Quick: no session is made. Raises DeviceMissing when `cuda` is asked for and cannot be had."""
    if device == "cpu":
        return "cpu"
    missing = _missing_for_cuda()
    if missing is None:
        return "cuda"
    if device == "cuda":
        raise DeviceMissing(f"device cuda: {missing}, or choose --device cpu")
    log.debug("no CUDA: %s", missing)
    return "cpu"


def _missing_for_cuda() -> str | None:
    if _CUDA not in onnxruntime.get_available_providers():
        return (
            "this onnxruntime is without CUDA; pip uninstall onnxruntime, then pip install '.[serve,gpu]' in a checkout"
        )
    if missing := missing_driver():
        return missing
    _preload()
    if library := missing_library(Path(onnxruntime.__file__).parent / "capi"):
        return (
            f"onnxruntime needs {library}, which cannot be loaded; pip install '.[serve,gpu]' in a checkout brings it"
        )
    return None


def _preload() -> None:
    """CUDA and cuDNN from their wheels, where the loader would not look. onnxruntime prints what it does not find."""
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls(directory="")


class Stepper(Protocol):
    """What the batcher needs of an engine, and whatever stands in front of one gives as well."""

    spec: BundleSpec

    def prepare_thread(self) -> None: ...

    def advance(
        self, pool: StatePool, rows: Indices, generations: Indices, epochs: Indices, x: Inputs, /
    ) -> tuple[NDArray[np.float32], RowMask | None]: ...


class Engine:
    """A loaded and verified step graph (a `inkling.models.bundle.StepGraph`), for one thread at a time."""

    def __init__(self, bundle: Bundle, threads: int | None = None, device: Device = "cpu") -> None:
        """threads: for one step; None: the cores that this process may use. device: as `resolve_device` gives it.

        Raises BundleInvalid when onnxruntime cannot read the graph or it does not fit the spec, BundleDisagrees when it
        does not reproduce the bundle's test vector.
        """
        self.spec = bundle.spec
        self._session = session(bundle, bundle.step, threads, device)
        self.inputs: dict[str, TensorInfo] = tensors(self._session.get_inputs())
        self.outputs: dict[str, TensorInfo] = tensors(self._session.get_outputs())
        self._names = list(self.outputs)
        verify_graph(bundle, self)

    def run(self, feeds: Mapping[str, Array], /) -> dict[str, Array]:
        """All outputs by name, for all inputs by name."""
        return dict(zip(self._names, self._session.run(self._names, feeds), strict=True))

    def step(self, x: Inputs, state: Mapping[str, Array]) -> tuple[NDArray[np.float32], dict[str, Array]]:
        """x (B, *input shape), or that of each input by its name; state by input name (B, *shape) -> logits (B, K),
        next state by output name.

        The batch's rows do not influence each other. Raises what onnxruntime raises.
        """
        outputs = self.run({**named(self.spec, x), **state})
        return outputs.pop(self.spec.logits), outputs

    def pool(self, slots: int, max_batch: int) -> StatePool:
        """Where the tracks' state is kept, in a form that `advance` can use: on the device that the engine runs on."""
        return HostPool(self.spec.state, slots, max_batch)

    def advance(
        self, pool: StatePool, rows: Indices, generations: Indices, epochs: Indices, x: Inputs
    ) -> tuple[NDArray[np.float32], RowMask | None]:
        """Step B different rows of a pool of this engine once: gather, step, scatter. On the engine's thread alone.

        x as of `step` -> logits (B, K), and which rows (B,) are finite in logits and state, None: all. The state
        of those is stored, where their generation still holds the row. Raises what onnxruntime raises, and then no
        state has changed.
        """
        if not isinstance(pool, HostPool):
            raise TypeError("a pool of another engine")
        logits, outputs = self.step(x, pool.gather(rows, generations, epochs))
        finite = finite_rows(logits, outputs)
        pool.scatter(rows, generations, epochs, outputs, finite)
        return logits, finite

    def prepare_thread(self) -> None:
        """What must happen on the thread that will call `advance`, before it does."""

    def warm(self, batches: Iterable[int]) -> None:
        """Step once at each batch size, so that the first client does not pay for what onnxruntime sets up then."""
        for batch in batches:
            x = {given.name: np.zeros((batch, *given.shape), given.dtype) for given in self.spec.inputs}
            self.step(x, initial_state(self.spec, batch))


def finite_rows(logits: Array, outputs: Mapping[str, Array]) -> RowMask | None:
    """Which rows (B,) are finite in logits and state, or None when all are. A state that is not would stay so."""
    tensors = [logits, *(array for array in outputs.values() if array.dtype.kind == "f")]
    if all(np.isfinite(array).all() for array in tensors):
        return None
    batch = len(logits)
    finite = np.ones(batch, np.bool_)
    for array in tensors:
        finite &= np.isfinite(array.reshape(batch, -1)).all(axis=1)
    return finite


def session(
    bundle: Bundle | PeopleBundle, graph: bytes, threads: int | None, device: Device, *, graphs: bool = False
) -> Any:
    """An onnxruntime session of a bundle's graph on `device` and nowhere else. graphs: it may record CUDA graphs.

    Raises BundleInvalid when the graph cannot be loaded, DeviceMissing when onnxruntime falls back to another device.
    """
    options = _options(threads)
    providers: list[Any] = [_CPU]
    if device == "cuda":
        _preload()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        # TF32 would not reproduce the test vector; an exhaustive search costs a second at every new batch size.
        how = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC", "arena_extend_strategy": "kSameAsRequested"}
        providers = [(_CUDA, how | {"enable_cuda_graph": "1"} if graphs else how)]
    try:
        made = onnxruntime.InferenceSession(graph, options, providers=providers)
    except Exception as error:  # onnxruntime's own errors share no base class
        if device == "cuda":
            # It says that nodes would run on the CPU, be they without a kernel for CUDA or CUDA without a library.
            _insist(onnxruntime.InferenceSession(graph, _options(threads), providers=[_CUDA, _CPU]), device)
        raise BundleInvalid(bundle.path, f"onnxruntime cannot load the graph: {error}") from error
    return _insist(made, device)


def _insist(made: Any, device: Device) -> Any:
    """The session, if it is on the device. Raises DeviceMissing."""
    if (used := made.get_providers()[0]) != (_CUDA if device == "cuda" else _CPU):
        raise DeviceMissing(f"onnxruntime runs on {used}, not on {device} as asked; its log says which library fails")
    return made


def _options(threads: int | None) -> Any:
    options = onnxruntime.SessionOptions()
    # 0, onnxruntime's default, pins threads to cores by number and fails inside a cpuset.
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Threads that spin for work take the event loop's core.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def tensors(args: Iterable[Any]) -> dict[str, TensorInfo]:
    """What onnxruntime says of a session's inputs or outputs, by name."""
    return {
        arg.name: (
            _DTYPES.get(arg.type, arg.type),
            tuple(size if isinstance(size, int) else None for size in arg.shape),
        )
        for arg in args
    }
