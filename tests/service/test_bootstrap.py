"""Which bundles a server loads, and what it does with broken ones."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import onnx
import pytest

from inkling.models.bundle import Found
from inkling.models.errors import BundleCorrupt, BundleInvalid, BundleNotFound, BundleOfAnotherKind
from inkling.service import bootstrap
from tests.people_bundle import make_people_bundle
from tests.service.conftest import tiny_settings
from tests.support import make_bundle

FOUND = [
    *(Found(name, version, Path(name, version)) for name, version in [("a", "1"), ("a", "2"), ("a", "10"), ("b", "3")]),
    Found("eyes", "1", Path("eyes", "1"), "people"),
]


def chosen(*names: str) -> list[str]:
    return [f"{found.name}/{found.version}" for found in bootstrap.select(FOUND, names)]


def test_without_names_the_newest_of_every_name_is_loaded() -> None:
    assert chosen() == ["a/10", "b/3"]


def test_a_name_means_its_newest_version_and_a_version_can_be_named() -> None:
    assert chosen("a") == ["a/10"]
    assert chosen("a/2", "a", "b/3") == ["a/2", "a/10", "b/3"]


def test_naming_the_newest_twice_loads_it_once() -> None:
    assert chosen("a", "a/10") == ["a/10"]


@pytest.mark.parametrize("name", ["c", "a/3", "a/"])
def test_a_name_that_is_not_there_is_an_error_that_lists_what_is(name: str) -> None:
    with pytest.raises(BundleNotFound, match=r"found a, a/1, a/10, a/2, b, b/3$"):
        chosen(name)


@pytest.mark.parametrize("name", ["eyes", "eyes/1"])
def test_a_name_of_what_finds_people_is_an_error_that_says_so(name: str) -> None:
    with pytest.raises(BundleOfAnotherKind, match="a bundle of kind 'people', which finds people in pictures"):
        chosen(name)


def test_when_every_bundle_is_broken_the_server_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "zoo_directory", lambda: tmp_path)
    (make_bundle(tmp_path) / "step.onnx").write_bytes(b"")
    with pytest.raises(BundleNotFound, match="no bundle here can be used"):
        bootstrap.build(tiny_settings(tmp_path, load=()))
    with pytest.raises(BundleCorrupt):
        bootstrap.build(tiny_settings(tmp_path))


def test_limits_come_from_the_settings(bundles: Path) -> None:
    built = bootstrap.build(
        tiny_settings(bundles, slots=7, inbox=3, max_people=5, max_streams=2, outbox=9, max_batch=4)
    )
    limits = built.hub.limits
    assert (limits.slots, limits.inbox, limits.max_people, limits.max_streams, limits.max_batch) == (7, 3, 5, 2, 4)
    assert built.sockets.outbox == 9


def test_a_core_is_ready_from_its_start_to_its_drain(bundles: Path) -> None:
    built = bootstrap.build(tiny_settings(bundles))
    ready = [built.ready]

    async def life() -> None:
        built.start()
        ready.append(built.ready)
        await built.drain()
        ready.append(built.ready)
        await built.stop()
        await built.stop()

    asyncio.run(life())
    assert ready == [False, True, False]


def test_eyes_with_a_wrong_head_keep_the_server_from_starting_and_the_head_is_named(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    path = make_people_bundle(tmp_path)
    model = onnx.load(path / "people.onnx")
    model.graph.node[-1].output[0] = model.graph.output[-1].name = "joints"
    data = model.SerializeToString()
    spec = (path / "bundle.json").read_text()
    old = hashlib.sha256((path / "people.onnx").read_bytes()).hexdigest()
    (path / "people.onnx").write_bytes(data)
    (path / "bundle.json").write_text(spec.replace(old, hashlib.sha256(data).hexdigest()))
    with pytest.raises(BundleInvalid, match="output 'keypoints' is missing") as refusal:
        bootstrap.build(tiny_settings(tmp_path, people_bundle="colours"))
    assert "colours/1" in str(refusal.value)
