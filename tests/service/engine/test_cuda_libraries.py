from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from inkling.service.engine import cuda_libraries, onnx_engine
from inkling.service.engine.cuda_libraries import PROVIDER, first_missing, missing_driver, missing_library, needed
from inkling.service.engine.onnx_engine import DeviceMissing, resolve_device
from tests.service.rig import tiny


def a_library() -> Path:
    """Some real shared library: onnxruntime's own."""
    return next((Path(onnxruntime.__file__).parent / "capi").glob("onnxruntime_pybind11_state*.so"))


def test_what_a_library_needs_is_read_from_its_file() -> None:
    names = list(needed(a_library()))
    assert "libc.so.6" in names
    assert "libstdc++.so.6" in names


def test_the_first_library_that_cannot_be_loaded_is_named() -> None:
    assert first_missing(["libc.so.6", "libonnxruntime_providers_shared.so"]) is None
    assert first_missing(["libc.so.6", "libcublas.so.99", "libcudnn.so.99"]) == "libcublas.so.99"


def test_a_provider_that_is_not_there_is_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_libraries, "LATER", ("libloaded-later.so.9",))
    assert missing_library(tmp_path) == PROVIDER
    (tmp_path / PROVIDER).write_bytes(a_library().read_bytes())
    assert missing_library(tmp_path) == "libloaded-later.so.9"


class Driver:
    """A libcuda that answers as told."""

    def __init__(self, devices: int, init: int = 0) -> None:
        self.cuInit: Callable[[int], int] = lambda _: init
        self.devices = devices

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        ctypes.cast(count, ctypes.POINTER(ctypes.c_int))[0] = self.devices
        return 0


def with_driver(monkeypatch: pytest.MonkeyPatch, driver: Driver | None) -> None:
    def load(name: str, *args: Any, **kwargs: Any) -> Any:
        if name != "libcuda.so.1":
            return real(name, *args, **kwargs)
        if driver is None:
            raise OSError(name)
        return driver

    real = ctypes.CDLL
    monkeypatch.setattr(ctypes, "CDLL", load)


def test_a_driver_without_a_gpu_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for driver, says in ((None, "libcuda.so.1"), (Driver(0), "shows no GPU"), (Driver(1, init=100), "shows no GPU")):
        with_driver(monkeypatch, driver)
        assert says in (missing_driver() or "")
        monkeypatch.undo()
    with_driver(monkeypatch, Driver(1))
    assert missing_driver() is None


# -- the setting ------------------------------------------------------------------------------------------------------
def with_cuda(monkeypatch: pytest.MonkeyPatch, library: str | None) -> None:
    """An onnxruntime built for CUDA on a machine with a GPU, and perhaps a library too few."""
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnx_engine, "missing_driver", lambda: None)
    monkeypatch.setattr(onnx_engine, "missing_library", lambda directory: library)


def test_cuda_without_one_of_its_libraries_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cuda(monkeypatch, "libcudnn.so.9")
    with pytest.raises(DeviceMissing, match=r"needs libcudnn\.so\.9, which cannot be .* '\.\[serve,gpu\]'"):
        resolve_device("cuda")
    assert resolve_device("auto") == "cpu"


def test_cuda_with_all_of_them_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with_cuda(monkeypatch, None)
    assert resolve_device("cuda") == resolve_device("auto") == "cuda"
    assert resolve_device("cpu") == "cpu"


def test_a_session_that_would_run_on_the_cpu_is_the_devices_fault_not_the_bundles(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As onnxruntime for CUDA does when a library is missing after all: it falls back, which is forbidden."""
    made = onnxruntime.InferenceSession

    def falls_back(graph: bytes, options: Any, providers: list[Any]) -> Any:
        if options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1":
            raise RuntimeError("nodes are assigned to the CPU")
        return made(graph, options, providers=["CPUExecutionProvider"])

    def entry(options: Any, key: str) -> str:
        try:
            return str(real(options, key))
        except RuntimeError:  # not set
            return ""

    real = onnxruntime.SessionOptions.get_session_config_entry
    monkeypatch.setattr(onnxruntime.SessionOptions, "get_session_config_entry", entry)
    monkeypatch.setattr(onnxruntime, "InferenceSession", falls_back)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **_: None)
    bundle = tiny(tmp_path)
    with pytest.raises(DeviceMissing, match="runs on CPUExecutionProvider, not on cuda as asked"):
        onnx_engine.session(bundle, bundle.step, 1, "cuda")
