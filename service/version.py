"""Which Inkling this is: the package's version, and the commit it was made from."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

from inkling.models.checkout import checkout_commit

COMMIT_VARIABLE = "INKLING_COMMIT"
"""Baked into the images when they are built; nothing else sets it."""


def version() -> str:
    """The installed distribution's version; `0+unknown` when the source runs without being installed."""
    try:
        return installed_version("inkling-vision")
    except PackageNotFoundError:
        return "0+unknown"


@cache
def commit() -> str | None:
    """The git commit: the one baked into the image, else that of the checkout this runs from, else None."""
    baked = os.environ.get(COMMIT_VARIABLE, "")
    if baked:
        return None if baked == "unknown" else baked
    return checkout_commit(__file__)


def described() -> str:
    """Version and commit in one line, as `inkling --version` begins."""
    return f"inkling {version()}, commit {commit() or 'unknown'}"
