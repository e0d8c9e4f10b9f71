"""Read a bundle and refuse it with one sentence if anything is not as it says."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from inkling.models.bundle.onnx_header import read_header
from inkling.models.bundle.people import PeopleSpec
from inkling.models.bundle.people_vector import PeopleVector
from inkling.models.bundle.schema import (
    KINDS,
    OPSETS,
    PEOPLE_FILE,
    ROWS_FILE,
    SCHEMA_VERSION,
    SPEC_FILE,
    STEP_FILE,
    VECTOR_FILE,
    BundleSpec,
    Kind,
)
from inkling.models.bundle.vector import TestVector
from inkling.models.errors import (
    BundleCorrupt,
    BundleInvalid,
    BundleNotFound,
    BundleOfAnotherKind,
    BundleUnsupported,
)
from inkling.models.problems import first_problem

AnySpec = TypeVar("AnySpec", BundleSpec, PeopleSpec)


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


@dataclass(frozen=True, slots=True, eq=False)
class PeopleBundle:
    """A bundle that finds people, whose files are what `spec` says. Not yet run: see `verify_people`.

    path: its directory. graph: the ONNX file's bytes, those that were hashed.
    """

    spec: PeopleSpec
    path: Path
    graph: bytes = field(repr=False)
    vector: PeopleVector = field(repr=False)


def load(path: Path | str) -> Bundle:
    """Read and check the bundle of kind `step` in the directory `.../NAME/VERSION`.

    Raises BundleNotFound (no such directory, or no bundle.json in it), BundleInvalid (does not fit the schema, is
    called otherwise than its directory, or the graphs and the vector are not of this spec), BundleCorrupt (a listed
    file is missing or altered), BundleUnsupported (schema version, kind or opset), BundleOfAnotherKind (it finds
    people). Files that are not listed do not matter.
    """
    path = _absolute(path)
    return read_files(path, _called_so(path, read_spec(path)))


def load_people(path: Path | str) -> PeopleBundle:
    """Read and check the bundle of kind `people` in the directory `.../NAME/VERSION`. Raises as `load` does."""
    path = _absolute(path)
    return read_people_files(path, _called_so(path, read_people_spec(path)))


def read_kind(path: Path) -> Kind:
    """The kind of the bundle in the directory `path`, without a look at anything else; `step` if it cannot be read."""
    try:
        fields = json.loads((path / SPEC_FILE).read_bytes())
    except (OSError, ValueError, RecursionError):
        return KINDS[0]
    kind = fields.get("kind") if isinstance(fields, dict) else None
    return next((known for known in KINDS if known == kind), KINDS[0])


def read_spec(path: Path) -> BundleSpec:
    """Parse `bundle.json` in the directory `path`, without a look at the other files. Raises as `load` does."""
    return _parsed(path, BundleSpec, "step")


def read_people_spec(path: Path) -> PeopleSpec:
    """`read_spec` of a bundle of kind `people`."""
    return _parsed(path, PeopleSpec, "people")


def read_files(path: Path, spec: BundleSpec) -> Bundle:
    """Read the files that `spec` lists, compare their hashes, look into the graph's header and the vector."""
    kept = _contents(path, spec, (STEP_FILE, ROWS_FILE, VECTOR_FILE))
    rows = kept.get(ROWS_FILE) if spec.has_rows else None
    _check_header(path, spec, STEP_FILE, kept[STEP_FILE])
    if rows is not None:
        _check_header(path, spec, ROWS_FILE, rows)
    try:
        vector = TestVector.from_npz(kept[VECTOR_FILE], [given.name for given in spec.further_inputs])
        vector.check(spec)
    except ValueError as error:
        raise BundleInvalid(path, f"{VECTOR_FILE}: {error}") from error
    return Bundle(spec, path, kept[STEP_FILE], vector, rows)


def read_people_files(path: Path, spec: PeopleSpec) -> PeopleBundle:
    """`read_files` of a bundle of kind `people`."""
    kept = _contents(path, spec, (PEOPLE_FILE, VECTOR_FILE))
    _check_header(path, spec, PEOPLE_FILE, kept[PEOPLE_FILE])
    try:
        vector = PeopleVector.from_npz(kept[VECTOR_FILE], spec)
        vector.check(spec)
    except ValueError as error:
        raise BundleInvalid(path, f"{VECTOR_FILE}: {error}") from error
    return PeopleBundle(spec, path, kept[PEOPLE_FILE], vector)


def _absolute(path: Path | str) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links and lose the names


def _called_so(path: Path, spec: AnySpec) -> AnySpec:
    """The spec, if its directories are called by its name and version."""
    if (path.parent.name, path.name) != (spec.name, spec.version):
        raise BundleInvalid(path, f"{SPEC_FILE} says {spec.name}/{spec.version}; the directories must be called that")
    return spec


def _parsed(path: Path, model: type[AnySpec], kind: Kind) -> AnySpec:
    """`bundle.json` as that kind of bundle."""
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
        if (found := fields.get("kind", KINDS[0])) in KINDS and found != kind:
            raise BundleOfAnotherKind(path, wrong_kind(found, kind))
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise BundleInvalid(path, f"{SPEC_FILE}: {first_problem(error)}") from error


def wrong_kind(found: Kind, wanted: Kind) -> str:
    """Why a bundle cannot be had as what was asked for, and as what it can."""
    does = {"step": "knows actions", "people": "finds people in pictures"}
    return f"a bundle of kind {found!r}, which {does[found]}; asked for is one of kind {wanted!r}, which {does[wanted]}"


def _contents(path: Path, spec: BundleSpec | PeopleSpec, keep: Collection[str]) -> dict[str, bytes]:
    """The files of `keep` that `spec` lists, after the sha256 of all that it lists has been compared."""
    if spec.opset not in OPSETS:
        raise BundleUnsupported(path, f"opset {spec.opset}; this release reads {OPSETS[0]} to {OPSETS[-1]}")
    kept: dict[str, bytes] = {}
    for name, expected in spec.files.items():
        try:
            with (path / name).open("rb") as file:
                if name in keep:  # hash what is used: a file may change between reads
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
    return kept


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


def _check_header(path: Path, spec: BundleSpec | PeopleSpec, file: str, graph: bytes) -> None:
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
