"""The probe that containers run: ready, draining, and nobody there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inkling.service import health
from inkling.service.server import bind
from tests.service.conftest import Running

ROOT = Path(__file__).resolve().parents[2]


def port(server: Running) -> int:
    return int(server.url.rsplit(":", 1)[1])


def test_a_ready_server_is_no_problem(server: Running) -> None:
    assert health.problem("127.0.0.1", port(server)) is None


def test_a_server_that_takes_no_streams_is_one(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.core.metrics, "ready", False)
    assert health.problem("127.0.0.1", port(server)) == f"127.0.0.1:{port(server)}/readyz answers 503"


def test_nobody_there_is_one() -> None:
    with bind("127.0.0.1", 0) as listener:
        free = listener.getsockname()[1]
    assert str(health.problem("127.0.0.1", free)).startswith(f"no answer from 127.0.0.1:{free}: ")


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1"])  # noqa: S104 - listened on, not asked
def test_the_server_is_found_by_the_settings_in_the_environment(
    server: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], host: str
) -> None:
    monkeypatch.setenv("INKLING_HOST", host)
    monkeypatch.setenv("INKLING_PORT", str(port(server)))
    assert health.main() == 0
    monkeypatch.setattr(server.core.metrics, "ready", False)
    assert health.main() == 1
    assert capsys.readouterr().err == f"inkling: 127.0.0.1:{port(server)}/readyz answers 503\n"


def test_the_probe_imports_neither_numpy_nor_a_framework() -> None:
    heavy = "{'numpy', 'pydantic', 'fastapi', 'onnxruntime'}"
    code = f"import sys, inkling.service.health; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"
