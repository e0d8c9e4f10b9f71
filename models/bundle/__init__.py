"""The bundle: the only meeting point of training and service. See `schema` for what it is.

Its readers and writers:

    bundle = load(Registry([zoo_directory()]).get("body-actions"))
    verify_graph(bundle, engine)
"""

from __future__ import annotations

from inkling.models.bundle.loader import Bundle, PeopleBundle, load, load_people
from inkling.models.bundle.people import PeopleSpec
from inkling.models.bundle.people_vector import PeopleVector
from inkling.models.bundle.registry import Found, Registry, zoo_directory
from inkling.models.bundle.rows import verify_rows
from inkling.models.bundle.schema import BundleSpec
from inkling.models.bundle.vector import TestVector
from inkling.models.bundle.verify import StepGraph, TensorInfo, initial_state, run_vector, verify_graph
from inkling.models.bundle.verify_people import verify_people
from inkling.models.bundle.writer import write, write_people

__all__ = [
    "Bundle",
    "BundleSpec",
    "Found",
    "PeopleBundle",
    "PeopleSpec",
    "PeopleVector",
    "Registry",
    "StepGraph",
    "TensorInfo",
    "TestVector",
    "initial_state",
    "load",
    "load_people",
    "run_vector",
    "verify_graph",
    "verify_people",
    "verify_rows",
    "write",
    "write_people",
    "zoo_directory",
]
