"""Write a bundle: all of it or nothing, and never over another one."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from inkling.models.bundle.loader import (
    AnySpec,
    Bundle,
    PeopleBundle,
    read_files,
    read_people_files,
    read_people_spec,
    read_spec,
)
from inkling.models.bundle.onnx_header import read_header
from inkling.models.bundle.people import PeopleSpec
from inkling.models.bundle.people_vector import PeopleVector
from inkling.models.bundle.schema import (
    CARD_FILE,
    PEOPLE_FILE,
    ROWS_FILE,
    SCHEMA_VERSION,
    SPEC_FILE,
    STEP_FILE,
    VECTOR_FILE,
    BundleSpec,
)
from inkling.models.bundle.vector import TestVector
from inkling.models.errors import BundleInvalid
from inkling.models.problems import first_problem


def write(
    root: Path | str,
    fields: Mapping[str, Any],
    step_onnx: bytes,
    vector: TestVector,
    card: str,
    rows_onnx: bytes | None = None,
    verify: Callable[[Bundle], object] | None = None,
) -> Path:
    """Write `root/NAME/VERSION` and return that path.

    fields: those of `BundleSpec`, plain or as its parts; `schema_version`, `opset` and `files` are filled in from
    the contents. step_onnx and rows_onnx carry metadata `name` and `version`; without the latter a GPU fetches every
    track's state from the host. verify: raises BundleError when the graphs are not as they should be. A crash leaves no
    half-written version behind.
    Raises BundleInvalid or BundleUnsupported for what `load` would refuse, BundleInvalid also when the version exists
    already, and what `verify` raises; then nothing is written.
    """
    root = Path(root)
    contents = {STEP_FILE: step_onnx, VECTOR_FILE: vector.to_npz(), CARD_FILE: card.encode()}
    if rows_onnx is not None:
        contents[ROWS_FILE] = rows_onnx
    spec = _spec(BundleSpec, root, fields, contents, STEP_FILE)

    def check(draft: Path, final: Path) -> None:
        written = read_files(draft, read_spec(draft))  # what is published has been read back as `load` will read it
        if verify is not None:
            verify(replace(written, path=final))

    return _publish(root, spec, contents, check)


def write_people(
    root: Path | str,
    fields: Mapping[str, Any],
    people_onnx: bytes,
    vector: PeopleVector,
    card: str,
    notices: Mapping[str, bytes],
    verify: Callable[[PeopleBundle], object] | None = None,
) -> Path:
    """Write `root/NAME/VERSION`, a bundle that finds people, and return that path.

    fields: those of `PeopleSpec`; `schema_version`, `kind`, `opset` and `files` are filled in. notices: file name ->
    text of each licence. Otherwise as `write`.
    """
    root = Path(root)
    contents = {PEOPLE_FILE: people_onnx, VECTOR_FILE: vector.to_npz(), CARD_FILE: card.encode(), **notices}
    spec = _spec(PeopleSpec, root, {"kind": "people", **fields}, contents, PEOPLE_FILE)

    def check(draft: Path, final: Path) -> None:
        written = read_people_files(draft, read_people_spec(draft))
        if verify is not None:
            verify(replace(written, path=final))

    return _publish(root, spec, contents, check)


def _fields(spec: BundleSpec | PeopleSpec) -> dict[str, Any]:
    """What `bundle.json` says: without `lead_s` where there is none, so that releases before it read it too."""
    return spec.model_dump(exclude={"lead_s"} if isinstance(spec, BundleSpec) and spec.lead_s is None else None)


def _publish(
    root: Path, spec: BundleSpec | PeopleSpec, contents: Mapping[str, bytes], check: Callable[[Path, Path], None]
) -> Path:
    """Write a version beside its place, have it checked there, and move it in. check: of the draft and the place."""
    final = root / spec.name / spec.version
    if final.exists():
        raise BundleInvalid(final, "exists already; a published version never changes, give this one a higher number")
    try:
        # Not pydantic's JSON mode: it would write a figure that is not a number as null, without a word.
        text = json.dumps(_fields(spec), indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    except (TypeError, ValueError) as error:
        raise BundleInvalid(final, f"{SPEC_FILE} would not be JSON: {error}") from error

    final.parent.mkdir(parents=True, exist_ok=True)
    # A name with a dot in front is no bundle to the registry.
    draft = Path(tempfile.mkdtemp(prefix=f".{spec.version}-", dir=final.parent))
    try:
        for name, data in (*contents.items(), (SPEC_FILE, text.encode())):
            _write_through(draft / name, data)
        check(draft, final)
        draft.chmod(0o755)
        _sync_directory(draft)
        try:
            draft.rename(final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            raise BundleInvalid(final, "was written by somebody else meanwhile") from error
        _sync_directory(final.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return final


def _spec(
    model: type[AnySpec], root: Path, fields: Mapping[str, Any], contents: Mapping[str, bytes], graph: str
) -> AnySpec:
    path = root / str(fields.get("name")) / str(fields.get("version"))
    try:
        opset = read_header(contents[graph]).opset
    except ValueError as error:
        raise BundleInvalid(path, f"{graph}: {error}") from error
    files = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    try:
        return model.model_validate({"schema_version": SCHEMA_VERSION, "opset": opset, **fields, "files": files})
    except ValidationError as error:
        raise BundleInvalid(path, f"{SPEC_FILE}: {first_problem(error)}") from error


def _write_through(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
