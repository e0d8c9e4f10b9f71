"""What the operating system says of processes and of the machine, from /proc."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
"""Of the clock in which the system counts the time of processes, a second."""


def otherwise_busy(seconds: float = 0.5) -> float:
    """Share of the machine's time that other work takes just now, while nothing of ours runs."""
    begin = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    time.sleep(seconds)
    end = [int(n) for n in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    spent = [after - before for before, after in zip(begin, end, strict=True)]
    return round(1 - (spent[3] + spent[4]) / max(sum(spent), 1), 3)  # idle, waiting for disks


def resident_kib(pid: int) -> int:
    """Resident memory of a process."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except FileNotFoundError:  # it has just ended
        found = None
    return int(found.group(1)) if found else 0


def children(pid: int) -> list[int]:
    """Ids of a process's children."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def on_processor_s(pid: int) -> float:
    """Seconds that a process and all its descendants that live have run so far."""
    try:
        spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return sum(map(int, spent)) / TICKS + sum(on_processor_s(child) for child in children(pid))
    except OSError:  # it has just ended
        return 0.0
