from __future__ import annotations

import importlib.metadata
import subprocess
from pathlib import Path

from inkling.training.provenance import git_commit, libraries
from tests.support import skip_unless

CHECKOUT = Path(__file__).resolve().parents[2]


def test_the_commit_is_that_of_the_checkout_marked_when_files_differ() -> None:
    skip_unless((CHECKOUT / ".git").exists(), "this is no git checkout")
    git = ["git", "-C", str(CHECKOUT)]
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    differs = subprocess.run([*git, "diff", "--quiet", "HEAD"], check=False).returncode == 1
    assert git_commit() == head + ("+changes" if differs else "")


def test_the_versions_are_those_that_are_installed() -> None:
    found = libraries()
    for name in ("torch", "numpy", "onnx"):
        assert found[name] == importlib.metadata.version(name)
    assert set(found) >= {"python", "lightning", "inkling"}
