"""What a fit was made by: the commit of the project and the versions of its libraries."""

from __future__ import annotations

import importlib.metadata
import platform

from inkling.models.checkout import checkout_commit


def git_commit() -> str:
    """The commit of the checkout that this file lies in, marked when files differ from it; empty outside of one."""
    return checkout_commit(__file__, changes=True) or ""


def libraries() -> dict[str, str]:
    """The versions of what a fit depends on, as installed."""
    names = {"inkling": "inkling-vision", "lightning": "lightning-fabric"}
    names |= {name: name for name in ("torch", "numpy", "onnx")}
    found = {"python": platform.python_version()}
    for name, distribution in names.items():
        try:
            found[name] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
