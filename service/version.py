"""Which Inkling this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def version() -> str:
    """The installed distribution's version; `0+unknown` when the source runs without being installed."""
    try:
        return installed_version("inkling")
    except PackageNotFoundError:
        return "0+unknown"
