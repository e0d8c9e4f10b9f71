"""Find bundles in directories `ROOT/NAME/VERSION/`, without loading them: a broken one does not hide the others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from inkling.models.bundle.loader import read_kind, wrong_kind
from inkling.models.bundle.schema import SPEC_FILE, Kind
from inkling.models.errors import BundleInvalid, BundleNotFound, BundleOfAnotherKind

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"\d+(\.\d+){0,2}")


def zoo_directory() -> Path:
    """The bundles that come with Inkling."""
    return Path(__file__).resolve().parent.parent / "zoo"


@dataclass(frozen=True, slots=True)
class Found:
    """A directory that looks like a bundle. `load(found.path)`, or `load_people`, says whether it is one.

    kind: what its `bundle.json` says, `step` when that cannot be read.
    """

    name: str
    version: str
    path: Path
    kind: Kind = "step"

    @property
    def full_name(self) -> str:
        """`NAME/VERSION`."""
        return f"{self.name}/{self.version}"

    @property
    def order(self) -> tuple[str, tuple[int, ...], str]:
        """Sorts by name, then by version as numbers: 2 < 10, and 1 = 1.0 (the text decides between those)."""
        numbers = [int(part) for part in self.version.split(".")]
        return self.name, (*numbers, *[0] * (3 - len(numbers))), self.version


class Registry:
    """The bundles of several root directories, read afresh at each call: a new version needs no restart to be seen."""

    def __init__(self, directories: Iterable[Path | str]) -> None:
        self.directories = tuple(dict.fromkeys(Path(directory).resolve() for directory in directories))

    def scan(self, kind: Kind | None = None) -> list[Found]:
        """Everything that looks like a bundle of that kind, of any by default; by name, oldest version first.

        Raises BundleNotFound when a root directory does not exist, BundleInvalid when two hold the same version.
        """
        found: dict[tuple[str, str], Found] = {}
        for directory in self.directories:
            if not directory.is_dir():
                raise BundleNotFound(directory, "no such directory")
            for path in sorted(spec.parent for spec in directory.glob(f"*/*/{SPEC_FILE}")):
                name, version = path.parent.name, path.name
                if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
                    continue
                twin = found.setdefault((name, version), Found(name, version, path, read_kind(path)))
                if twin.path != path:
                    raise BundleInvalid(path, f"{name}/{version} is there twice, also in {twin.path}; remove one")
        listed = (entry for entry in found.values() if kind in (None, entry.kind))
        return sorted(listed, key=lambda entry: entry.order)

    def get(self, name: str, version: str | None = None, kind: Kind = "step") -> Path:
        """Path of that version, or of the newest.

        Raises BundleNotFound, naming what there is, BundleOfAnotherKind, and as `scan`.
        """
        full_name = f"{name}/{version}" if version else name
        others: Found | None = None
        found = self.scan()
        for entry in reversed(found):
            if entry.name == name and version in (None, entry.version):
                if entry.kind == kind:
                    return entry.path
                others = entry
        if others is not None:
            raise BundleOfAnotherKind(full_name, wrong_kind(others.kind, kind))
        known = ", ".join(f"{entry.name}/{entry.version}" for entry in found if entry.kind == kind) or "none at all"
        raise BundleNotFound(full_name, f"no such bundle; found {known}")
