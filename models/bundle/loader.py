"""Read a bundle and refuse it with one sentence if anything is not as it says."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from inkling.models.bundle.onnx_header import read_header
from inkling.models.bundle.schema import OPSETS, SCHEMA_VERSION, SPEC_FILE, STEP_FILE, VECTOR_FILE, BundleSpec
from inkling.models.bundle.vector import TestVector
from inkling.models.errors import BundleCorrupt, BundleInvalid, BundleNotFound, BundleUnsupported
from inkling.models.problems import first_problem


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle whose files are what `spec` says. Not yet run: see `verify_graph`.

    path: its directory. step: the ONNX file's bytes, those that were hashed.
    """

    spec: BundleSpec
    path: Path
    step: bytes = field(repr=False)
    vector: TestVector = field(repr=False)


def load(path: Path | str) -> Bundle:
    """Read and check the bundle in the directory `.../NAME/VERSION`.

    Raises BundleNotFound (no such directory, or no bundle.json in it), BundleInvalid (does not fit the schema, is
    called otherwise than its directory, or the graph and the vector are not of this spec), BundleCorrupt (a listed
    file is missing or altered), BundleUnsupported (schema version or opset). Files that are not listed are ignored.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links and lose the names
    spec = read_spec(path)
    if (path.parent.name, path.name) != (spec.name, spec.version):
        raise BundleInvalid(path, f"{SPEC_FILE} says {spec.name}/{spec.version}; the directories must be called that")
    return read_files(path, spec)


def read_spec(path: Path) -> BundleSpec:
    """Parse `bundle.json` in the directory `path`, without a look at the other files. Raises as `load` does."""
    try:
        text = (path / SPEC_FILE).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleNotFound(path, f"there is no {SPEC_FILE} here") from error
    except OSError as error:
        raise BundleCorrupt(path, f"{SPEC_FILE} cannot be read: {error.strerror}") from error
    try:
        fields = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BundleInvalid(path, f"{SPEC_FILE} is not JSON: {error}") from error
    version = fields.get("schema_version") if isinstance(fields, dict) else None
    if isinstance(version, int) and version != SCHEMA_VERSION:
        raise BundleUnsupported(path, f"schema version {version}; this release reads {SCHEMA_VERSION}")
    try:
        return BundleSpec.model_validate(fields)
    except ValidationError as error:
        raise BundleInvalid(path, f"{SPEC_FILE}: {first_problem(error)}") from error


def read_files(path: Path, spec: BundleSpec) -> Bundle:
    """Read the files that `spec` lists, compare their hashes, look into the graph's header and the vector."""
    if spec.opset not in OPSETS:
        raise BundleUnsupported(path, f"opset {spec.opset}; this release reads {OPSETS[0]} to {OPSETS[-1]}")
    kept: dict[str, bytes] = {}
    for name, expected in spec.files.items():
        try:
            with (path / name).open("rb") as file:
                if name in (STEP_FILE, VECTOR_FILE):  # hash what is used: the file may change between two reads
                    kept[name] = file.read()
                    digest = hashlib.sha256(kept[name]).hexdigest()
                else:
                    digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise BundleCorrupt(path, f"{name} is missing") from error
        except OSError as error:
            raise BundleCorrupt(path, f"{name} cannot be read: {error.strerror}") from error
        if digest != expected:
            raise BundleCorrupt(path, f"{name} is not the file that {SPEC_FILE} lists: its sha256 differs")
    _check_header(path, spec, kept[STEP_FILE])
    try:
        vector = TestVector.from_npz(kept[VECTOR_FILE])
        vector.check(spec)
    except ValueError as error:
        raise BundleInvalid(path, f"{VECTOR_FILE}: {error}") from error
    return Bundle(spec, path, kept[STEP_FILE], vector)


def _check_header(path: Path, spec: BundleSpec, step: bytes) -> None:
    try:
        header = read_header(step)
    except ValueError as error:
        raise BundleInvalid(path, f"{STEP_FILE}: {error}") from error
    if header.opset not in OPSETS:
        raise BundleUnsupported(
            path, f"{STEP_FILE} needs opset {header.opset}; this release reads {OPSETS[0]} to {OPSETS[-1]}"
        )
    if header.opset != spec.opset:
        raise BundleInvalid(path, f"{STEP_FILE} has opset {header.opset}, {SPEC_FILE} says {spec.opset}")
    for key, expected in (("name", spec.name), ("version", spec.version)):
        found = header.metadata.get(key)
        if found != expected:
            raise BundleInvalid(path, f"{STEP_FILE} carries {key} {found!r} in its metadata, not {expected!r}")


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")
