"""The bundles that a server has loaded: which there are, and which one a stream means. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from inkling.service.protocol.errors import UnknownBundle
from inkling.service.streams.loaded_bundle import LoadedBundle


class BundleRegistry:
    """Loaded bundles by name, the newest version first."""

    def __init__(self) -> None:
        self._bundles: dict[tuple[str, str], LoadedBundle] = {}

    def __iter__(self) -> Iterator[LoadedBundle]:
        return iter(self._bundles.values())

    def __contains__(self, name_and_version: tuple[str, str]) -> bool:
        return name_and_version in self._bundles

    def add(self, bundle: LoadedBundle) -> None:
        """Replaces the whole mapping: `add` may run in a thread while the event loop reads."""
        bundles = {**self._bundles, (bundle.spec.name, bundle.spec.version): bundle}
        newest_first = sorted(bundles.items(), key=lambda item: _numbers(item[1].spec.version), reverse=True)
        self._bundles = dict(sorted(newest_first, key=lambda item: item[1].spec.name))

    def find(self, name: str, version: str | None) -> LoadedBundle:
        """version None: the newest. Raises UnknownBundle, which says those there are."""
        versions = [bundle for bundle in self if bundle.spec.name == name]
        for bundle in versions:
            if version is None or bundle.spec.version == version:
                return bundle
        if versions:
            known = ", ".join(bundle.spec.version for bundle in versions)
            raise UnknownBundle(f"bundle {name!r} has no version {version!r} here; loaded: {known}")
        known = ", ".join(dict.fromkeys(bundle.spec.name for bundle in self))
        raise UnknownBundle(f"no bundle {name!r} here; loaded: {known or 'none'}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
