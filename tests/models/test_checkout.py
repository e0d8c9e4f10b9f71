from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from inkling.models.checkout import checkout_commit


def git(root: Path, *command: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
    done = subprocess.run(["git", "-C", str(root), *identity, *command], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file in a folder of a checkout with one commit."""
    path = tmp_path / "service" / "version.py"
    path.parent.mkdir()
    path.write_text("one")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "x")
    return path


def test_a_file_of_a_checkout_is_of_its_commit(file: Path, tmp_path: Path) -> None:
    assert checkout_commit(str(file)) == git(tmp_path, "rev-parse", "HEAD")


def test_changes_are_told_where_they_are_asked_for(file: Path, tmp_path: Path) -> None:
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert checkout_commit(str(file), changes=True) == commit
    (tmp_path / "new.txt").write_text("not known to git")
    assert checkout_commit(str(file), changes=True) == commit
    file.write_text("two")
    assert checkout_commit(str(file), changes=True) == f"{commit}+changes"
    assert checkout_commit(str(file)) == commit


def test_a_link_to_the_folder_leads_to_its_checkout(file: Path, tmp_path: Path) -> None:
    """Editable installs see the folders through links in `src/inkling`."""
    linked = tmp_path / "src" / "inkling" / "service"
    linked.parent.mkdir(parents=True)
    linked.symlink_to(file.parent)
    assert checkout_commit(str(linked / file.name)) == git(tmp_path, "rev-parse", "HEAD")


def test_an_installed_file_is_of_no_commit_even_inside_somebody_elses_checkout(file: Path, tmp_path: Path) -> None:
    assert checkout_commit(str(tmp_path / ".venv" / "site-packages" / "service" / "version.py")) is None


def test_a_checkout_without_a_commit_has_none(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    assert checkout_commit(str(tmp_path / "service" / "version.py"), changes=True) is None


def test_without_git_the_commit_is_unknown(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkout_commit(str(file)) is None
