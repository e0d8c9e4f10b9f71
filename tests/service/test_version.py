"""Version and commit: of the package, of an image, of a checkout; and `/v1/version`, `inkling --version`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version as installed
from pathlib import Path

import httpx
import pytest

from inkling.service import version
from tests.service.conftest import Running
from tests.support import make_bundle

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    version.commit.cache_clear()
    yield
    version.commit.cache_clear()


def head(root: Path) -> str:
    done = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_an_image_knows_the_commit_that_was_baked_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(version.COMMIT_VARIABLE, "abc123")
    assert version.commit() == "abc123"
    assert version.described() == f"inkling {version.version()}, commit abc123"


def test_an_image_that_was_built_without_one_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(version.COMMIT_VARIABLE, "unknown")
    assert version.commit() is None
    assert version.described().endswith("commit unknown")


def checkout(path: Path) -> Path:
    """A repository with one commit, and the package in it."""
    (path / "service").mkdir()
    command = ["git", "-C", str(path), "-c", "user.name=x", "-c", "user.email=x@x"]
    subprocess.run(["git", "init", "-q", str(path)], check=True)
    subprocess.run([*command, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    return path / "service" / "version.py"


def test_a_checkout_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(version.COMMIT_VARIABLE, raising=False)
    monkeypatch.setattr(version, "__file__", str(checkout(tmp_path)))
    assert version.commit() == head(tmp_path)


def test_an_installed_package_knows_no_commit_even_inside_somebody_elses_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout(tmp_path)
    monkeypatch.delenv(version.COMMIT_VARIABLE, raising=False)
    monkeypatch.setattr(version, "__file__", str(tmp_path / ".venv" / "site-packages" / "service" / "version.py"))
    assert version.commit() is None


def test_without_git_the_commit_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(version.COMMIT_VARIABLE, raising=False)
    monkeypatch.setattr(version, "__file__", str(checkout(tmp_path)))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert version.commit() is None


def test_the_server_tells_version_commit_device_and_bundles(server: Running) -> None:
    assert httpx.get(f"{server.url}/v1/version").json() == {
        "version": installed("inkling-vision"),
        "commit": version.commit(),
        "device": server.core.hub.device,
        "bundles": ["tiny/1"],
    }


def test_the_command_names_version_commit_and_the_bundles_that_it_would_find(tmp_path: Path) -> None:
    make_bundle(tmp_path, version="7")
    done = subprocess.run(
        [sys.executable, "-m", "inkling.service.cli.main", "--version"],
        capture_output=True, text=True, cwd=ROOT, check=True, timeout=60,
        env={**os.environ, "INKLING_BUNDLES": str(tmp_path), "INKLING_COMMIT": "abc123"},
    )  # fmt: skip
    first, second = done.stdout.splitlines()
    assert first == f"inkling {installed('inkling-vision')}, commit abc123"
    assert second.startswith("bundles: ")
    assert "tiny/7" in second.removeprefix("bundles: ").split(", ")
