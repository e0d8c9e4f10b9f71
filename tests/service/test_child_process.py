"""Processes of this server's own modules: what they inherit, and what they count of their memory."""

from __future__ import annotations

import mmap
import subprocess

import pytest

from inkling.service.child_process import child_command, child_environment, data_bytes


def test_a_child_runs_this_installation_and_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INKLING_TOKEN", "secret")
    environment = child_environment()
    assert "secret" not in environment.values()
    command = child_command("version")
    assert command[-1] == "inkling.service.version"
    assert subprocess.run(command, env=environment, check=False, capture_output=True).returncode == 0


def test_the_memory_that_the_kernel_limits_is_counted() -> None:
    before = data_bytes()
    with mmap.mmap(-1, 2**26, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
        assert 2**26 <= data_bytes() - before < 2**27
