"""How this server starts processes of its own modules: with little of its environment, and no terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import inkling

_HOME = Path(next(iter(inkling.__path__))).parent
_KEPT = ("PATH", "LD_LIBRARY_PATH", "LANG", "TZ", "TMPDIR")


def child_command(module: str) -> list[str]:
    """Runs a module of `inkling.service`."""
    return [sys.executable, "-P", "-m", f"inkling.service.{module}"]


def child_environment() -> dict[str, str]:
    """One thread for each library, and nothing that might be secret."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {"PYTHONPATH": str(_HOME), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def data_bytes() -> int:
    """What this process counts for the kernel's RLIMIT_DATA now: heap, stacks and other memory of its own."""
    pages = Path("/proc/self/statm").read_text().split()[5]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
