"""The memory of a server with its children, watched from outside as a container's limit would see it.

A control group would be the real thing, but it takes root and differs between machines. So /proc is read every few
milliseconds, and the server is killed where its container would have killed it. Counted is what a container is charged
with: the private memory of every process, and once the pages that they share.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import threading
from pathlib import Path

from tests.benchmarks.proc import children

LIMIT_MIB = 1024
EVERY_S = 0.02


class Memory:
    """Peak of a process tree. Use as a context manager."""

    def __init__(self, pid: int, limit_mib: float = LIMIT_MIB) -> None:
        self.pid, self.limit_mib = pid, limit_mib
        self.peak_mib = 0.0
        self.killed = False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory")

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(EVERY_S):
            self.peak_mib = max(self.peak_mib, held_mib(self.pid))
            if self.peak_mib > self.limit_mib and not self.killed:
                self.killed = True
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)


def family(pid: int) -> list[int]:
    """A process and its descendants that live."""
    try:
        return [pid, *(process for child in children(pid) for process in family(child))]
    except OSError:  # it has just ended
        return [pid]


def command(pid: int) -> bytes:
    """Its command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def held_mib(pid: int) -> float:
    """Memory of a process and its descendants, now; what the kernel says was this process's own peak counts too."""
    private, shared, peak = 0, 0, 0
    own = command(pid)
    for process in family(pid):
        if process != pid and command(process) == own:  # about to become another program: its memory is its parent's
            continue
        try:
            text = Path(f"/proc/{process}/status").read_text()
        except OSError:
            continue
        kib = {name: int(value) for name, value in re.findall(r"^(VmHWM|Rss\w+):\s+(\d+)", text, re.MULTILINE)}
        private += kib.get("RssAnon", 0)
        shared = max(shared, kib.get("RssFile", 0) + kib.get("RssShmem", 0))
        peak = max(peak, kib.get("VmHWM", 0))
    return max(private + shared, peak) / 1024
