"""The memory of this machine, or of the control group that the process is in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inkling.service.machine_memory import machine_bytes

PHYSICAL = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def group(root: Path, path: str, name: str, limit: str) -> None:
    (root / path).mkdir(parents=True, exist_ok=True)
    (root / path / name).write_text(f"{limit}\n")


def test_without_control_groups_it_is_the_machines(tmp_path: Path) -> None:
    assert machine_bytes(tmp_path / "none", tmp_path) == PHYSICAL
    assert 0 < machine_bytes() <= PHYSICAL


@pytest.mark.parametrize(
    ("membership", "path", "name"),
    [
        ("0::/a/b", "a/b", "memory.max"),
        ("0::/a/b", "a", "memory.max"),
        ("0::/docker/of-the-host", ".", "memory.max"),
        ("3:cpu:/x\n4:memory:/a", "memory/a", "memory.limit_in_bytes"),
        ("4:memory:/docker/of-the-host", "memory", "memory.limit_in_bytes"),
    ],
)
def test_the_least_limit_of_its_group_and_of_those_above_counts(
    tmp_path: Path, membership: str, path: str, name: str
) -> None:
    said = tmp_path / "said"
    said.write_text(membership + "\n")
    cgroups = tmp_path / "groups"
    group(cgroups, path, name, "1000000")
    assert machine_bytes(said, cgroups) == 1_000_000
    group(cgroups, path, name, "max")
    assert machine_bytes(said, cgroups) == PHYSICAL
