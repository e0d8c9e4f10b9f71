"""Which of the loaded bundles a stream means. (How they are run: test_hub.)"""

from __future__ import annotations

from pathlib import Path

import pytest

from inkling.service.engine.batcher import Batcher
from inkling.service.engine.onnx_engine import Engine
from inkling.service.protocol.errors import UnknownBundle
from inkling.service.streams.bundle_registry import BundleRegistry
from inkling.service.streams.loaded_bundle import LoadedBundle
from tests.service.rig import tiny


def loaded(root: Path, name: str, version: str) -> LoadedBundle:
    engine = Engine(tiny(root, name=name, version=version), threads=1)
    pool = engine.pool(1, 1)
    return LoadedBundle(engine.spec, pool, Batcher(engine, pool, lambda outcome: None, 1))


@pytest.fixture
def registry(tmp_path: Path) -> BundleRegistry:
    registry = BundleRegistry()
    for name, version in (("b", "1"), ("a", "1.9"), ("a", "1.10"), ("a", "1.2")):
        registry.add(loaded(tmp_path, name, version))
    return registry


def test_bundles_are_listed_by_name_the_newest_version_first(registry: BundleRegistry) -> None:
    assert [bundle.spec.full_name for bundle in registry] == ["a/1.10", "a/1.9", "a/1.2", "b/1"]
    assert ("a", "1.9") in registry
    assert ("b", "2") not in registry


def test_without_a_version_the_newest_is_meant(registry: BundleRegistry) -> None:
    assert registry.find("a", None).spec.version == "1.10"
    assert registry.find("a", "1.2").spec.version == "1.2"


def test_what_is_not_loaded_is_refused_with_what_is(registry: BundleRegistry) -> None:
    with pytest.raises(UnknownBundle, match=r"no version '7' here; loaded: 1\.10, 1\.9, 1\.2"):
        registry.find("a", "7")
    with pytest.raises(UnknownBundle, match="no bundle 'c' here; loaded: a, b"):
        registry.find("c", None)
    with pytest.raises(UnknownBundle, match="loaded: none"):
        BundleRegistry().find("a", None)
