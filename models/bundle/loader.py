"""Read a bundle and refuse it with one sentence if anything is not as it says."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inkling.models.bundle.onnx_header import read_header
from inkling.models.bundle.schema import (
    KINDS,
    OPSETS,
    ROWS_FILE,
    SCHEMA_VERSION,
    SPEC_FILE,
    STEP_FILE,
    VECTOR_FILE,
    BundleSpec,
)
from inkling.models.bundle.vector import TestVector
from inkling.models.errors import BundleCorrupt, BundleInvalid, BundleNotFound, BundleUnsupported
from inkling.models.problems import first_problem


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A bundle whose files are what `spec` says. Not yet run: see `verify_graph`.

    path: its directory. step, rows: the ONNX files' bytes, those that were hashed; rows None: there is no `rows.onnx`.
    """

    spec: BundleSpec
    path: Path
    step: bytes = field(repr=False)
    vector: TestVector = field(repr=False)
    rows: bytes | None = field(default=None, repr=False)


def load(path: Path | str) -> Bundle:
    """Read and check the bundle in the directory `.../NAME/VERSION`.

    Raises BundleNotFound (no such directory, or no bundle.json in it), BundleInvalid (does not fit the schema, is
    called otherwise than its directory, or the graphs and the vector are not of this spec), BundleCorrupt (a listed
    file is missing or altered), BundleUnsupported (schema version, kind or opset). Files that are not listed do not
    matter.
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
    if isinstance(fields, dict):
        _check_release(path, fields)
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
                if name in (STEP_FILE, ROWS_FILE, VECTOR_FILE):  # hash what is used: a file may change between reads
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
    rows = kept.get(ROWS_FILE) if spec.has_rows else None
    _check_header(path, spec, STEP_FILE, kept[STEP_FILE])
    if rows is not None:
        _check_header(path, spec, ROWS_FILE, rows)
    try:
        vector = TestVector.from_npz(kept[VECTOR_FILE])
        vector.check(spec)
    except ValueError as error:
        raise BundleInvalid(path, f"{VECTOR_FILE}: {error}") from error
    return Bundle(spec, path, kept[STEP_FILE], vector, rows)


def _check_release(path: Path, fields: dict[str, Any]) -> None:
    """Raise BundleUnsupported for what another release can read: its fields would make no sense here."""
    version, kind = fields.get("schema_version"), fields.get("kind", KINDS[0])
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise BundleUnsupported(
            path,
            f"schema version {version}, made by a newer Inkling: upgrade; this release reads 1 to {SCHEMA_VERSION}",
        )
    if isinstance(version, int) and version < 1:
        raise BundleUnsupported(path, f"schema version {version}; this release reads 1 to {SCHEMA_VERSION}")
    if isinstance(kind, str) and kind not in KINDS:
        raise BundleUnsupported(path, f"a bundle of kind {kind!r}; this release uses the kind {' or '.join(KINDS)}")


def _check_header(path: Path, spec: BundleSpec, file: str, graph: bytes) -> None:
    try:
        header = read_header(graph)
    except ValueError as error:
        raise BundleInvalid(path, f"{file}: {error}") from error
    if header.opset not in OPSETS:
        raise BundleUnsupported(
            path, f"{file} needs opset {header.opset}; this release reads {OPSETS[0]} to {OPSETS[-1]}"
        )
    if header.opset != spec.opset:
        raise BundleInvalid(path, f"{file} has opset {header.opset}, {SPEC_FILE} says {spec.opset}")
    for key, expected in (("name", spec.name), ("version", spec.version)):
        found = header.metadata.get(key)
        if found != expected:
            raise BundleInvalid(path, f"{file} carries {key} {found!r} in its metadata, not {expected!r}")


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")
