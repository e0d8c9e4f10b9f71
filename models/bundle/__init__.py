"""The bundle: the only meeting point of training and service. See `schema` for what it is.

Its readers and writers:

    bundle = load(Registry([zoo_directory()]).get("body-actions"))
    verify_graph(bundle, engine)
"""

from __future__ import annotations

from inkling.models.bundle.loader import Bundle, load
from inkling.models.bundle.registry import Found, Registry, zoo_directory
from inkling.models.bundle.rows import verify_rows
from inkling.models.bundle.schema import BundleSpec
from inkling.models.bundle.vector import TestVector
from inkling.models.bundle.verify import StepGraph, TensorInfo, initial_state, run_vector, verify_graph
from inkling.models.bundle.writer import write

__all__ = [
    "Bundle",
    "BundleSpec",
    "Found",
    "Registry",
    "StepGraph",
    "TensorInfo",
    "TestVector",
    "initial_state",
    "load",
    "run_vector",
    "verify_graph",
    "verify_rows",
    "write",
    "zoo_directory",
]
