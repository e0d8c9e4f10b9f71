"""How much memory this process may use: the least limit of the control groups that it is in, else the machine's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def machine_bytes(membership: Path = MEMBERSHIP, cgroups: Path = CGROUPS) -> int:
    """In bytes."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([physical, *_limits(membership, cgroups)])


def _limits(membership: Path, cgroups: Path) -> Iterator[int]:
    """Of this process's groups and of all above them, as version 2 and as version 1 have them."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if not controllers:
            root, name = cgroups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = cgroups / "memory", "memory.limit_in_bytes"
        else:
            continue
        group = root / own.lstrip("/")
        # In a container the path may be that of the host, and what is here is already its own group.
        for place in [group, *group.parents]:
            if place.is_relative_to(root) and (limit := _read(place / name)) is not None:
                yield limit


def _read(file: Path) -> int | None:
    """A limit; None where there is none ("max")."""
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
