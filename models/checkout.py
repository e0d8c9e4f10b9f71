"""The git commit of the checkout that Inkling runs from."""

from __future__ import annotations

import subprocess
from pathlib import Path


def checkout_commit(file: str, *, changes: bool = False) -> str | None:
    """The commit of the checkout that `file` lies in, one folder below its top; None outside of one, or without git.

    An installed package lies in no checkout of its own, even inside somebody else's. changes: `+changes` follows when
    files differ from the commit.
    """
    root = Path(file).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = changes and bool(_git(root, "status", "--porcelain", "-uno"))
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{commit}+changes" if commit and changed else commit or None


def _git(root: Path, *command: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
