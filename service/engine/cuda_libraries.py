"""Why onnxruntime cannot use CUDA here, before it is tried: onnxruntime itself goes on without a word, on the CPU."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

PROVIDER = "libonnxruntime_providers_cuda.so"
LATER = ("libcudnn.so.9",)
"""What the provider does not list, for it loads it itself: convolutions and reductions fail without."""
_DYNAMIC = 6  # section type SHT_DYNAMIC of ELF
_NEEDED = 1  # dynamic tag DT_NEEDED
_HEADER, _SECTION, _ENTRY = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQIIQQ"), struct.Struct("<qQ")


def missing_driver() -> str | None:
    """What is wrong with the NVIDIA driver, as half a sentence; None: it shows a GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver (libcuda.so.1); install it, or start the container with --gpus all"
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the NVIDIA driver shows no GPU; see what nvidia-smi says"
    return None


def missing_library(directory: Path) -> str | None:
    """The first library that onnxruntime's CUDA provider in `directory` needs and the loader cannot find."""
    provider = directory / PROVIDER
    if not provider.is_file():
        return PROVIDER
    return first_missing([*needed(provider), *LATER])


def first_missing(names: Iterable[str]) -> str | None:
    """The first of these shared libraries that cannot be loaded."""
    for name in names:
        if name.startswith("libonnxruntime"):
            continue  # onnxruntime loads its own, in an order that matters
        try:
            ctypes.CDLL(name, mode=ctypes.RTLD_GLOBAL)
        except OSError:
            return name
    return None


def needed(library: Path) -> Iterator[str]:
    """Names of the shared libraries that a 64-bit ELF library lists as needed.

    Read from the file: to load the provider itself before onnxruntime has prepared for it would end the process.
    """
    with library.open("rb") as file:  # hundreds of megabytes, of which a few pages are looked at
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    _, _, _, _, _, _, sections_at, _, _, _, _, size, count, _ = _HEADER.unpack_from(data)
    sections = [_SECTION.unpack_from(data, sections_at + i * size) for i in range(count)]
    for _, kind, _, _, at, length, link, _, _, _ in sections:
        if kind != _DYNAMIC:
            continue
        names_at = sections[link][4]
        for tag, value in _ENTRY.iter_unpack(data[at : at + length]):
            if tag == _NEEDED:
                start = names_at + value
                yield data[start : start + 256].split(b"\0", 1)[0].decode()
