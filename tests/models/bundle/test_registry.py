from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.bundle import Found, Registry, load, load_people, zoo_directory
from inkling.models.bundle.schema import SPEC_FILE
from inkling.models.errors import BundleInvalid, BundleNotFound, BundleOfAnotherKind
from tests.people_bundle import make_people_bundle
from tests.support import make_bundle


def place(root: Path, *names: str) -> None:
    """Directories that look like bundles from outside."""
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / SPEC_FILE).write_text("broken")


def listed(registry: Registry) -> list[str]:
    return [f"{found.name}/{found.version}" for found in registry.scan()]


def test_bundles_are_listed_by_name_oldest_version_first(tmp_path: Path) -> None:
    place(tmp_path, "b/1", "a/10", "a/9.5", "a/9.10", "a/2")
    assert listed(Registry([tmp_path])) == ["a/2", "a/9.5", "a/9.10", "a/10", "b/1"]


def test_the_newest_version_is_the_default_and_any_other_can_be_asked_for(tmp_path: Path) -> None:
    for version in ("2", "10", "9"):
        make_bundle(tmp_path, version=version)
    registry = Registry([tmp_path])
    assert registry.get("tiny") == tmp_path / "tiny" / "10"
    assert registry.get("tiny", "9") == tmp_path / "tiny" / "9"
    assert load(registry.get("tiny")).spec.version == "10"


def test_several_directories_are_one_shelf(tmp_path: Path) -> None:
    place(tmp_path / "one", "tiny/1")
    place(tmp_path / "two", "tiny/2", "own/1")
    registry = Registry([tmp_path / "one", str(tmp_path / "two")])
    assert listed(registry) == ["own/1", "tiny/1", "tiny/2"]
    assert registry.get("tiny") == tmp_path / "two" / "tiny" / "2"


def test_a_broken_bundle_does_not_hide_the_others(tmp_path: Path) -> None:
    place(tmp_path, "broken/1")
    make_bundle(tmp_path)
    assert listed(Registry([tmp_path])) == ["broken/1", "tiny/1"]
    load(Registry([tmp_path]).get("tiny"))


def test_what_cannot_be_a_bundle_is_passed_over(tmp_path: Path) -> None:
    place(tmp_path, "tiny/1", "tiny/.1-draft", "tiny/latest", ".hidden/1", "Tiny/1", "__pycache__/1", "tiny/1/deeper")
    (tmp_path / "README.md").write_text("")
    (tmp_path / "empty" / "1").mkdir(parents=True)
    assert listed(Registry([tmp_path])) == ["tiny/1"]


def test_a_version_published_later_is_seen_without_a_new_registry(tmp_path: Path) -> None:
    registry = Registry([tmp_path])
    assert listed(registry) == []
    make_bundle(tmp_path)
    assert listed(registry) == ["tiny/1"]


def test_the_same_version_in_two_directories_is_an_error_that_names_both(tmp_path: Path) -> None:
    place(tmp_path / "one", "tiny/1")
    place(tmp_path / "two", "tiny/1")
    with pytest.raises(BundleInvalid, match=r"two/tiny/1: tiny/1 is there twice, also in .*one/tiny/1; remove one"):
        Registry([tmp_path / "one", tmp_path / "two"]).scan()


def test_the_same_directory_named_twice_is_one(tmp_path: Path) -> None:
    make_bundle(tmp_path / "one")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    assert listed(Registry([tmp_path / "one", tmp_path / "link", f"{tmp_path}/./one"])) == ["tiny/1"]


def test_a_root_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match="no such directory"):
        Registry([tmp_path / "typo"]).scan()


def test_an_unknown_name_or_version_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match=r"^tiny: no such bundle; found none at all$"):
        Registry([tmp_path]).get("tiny")
    place(tmp_path, "tiny/1", "own/2")
    with pytest.raises(BundleNotFound, match=r"^other: no such bundle; found own/2, tiny/1$"):
        Registry([tmp_path]).get("other")
    with pytest.raises(BundleNotFound, match=r"^tiny/1\.0: no such bundle; found own/2, tiny/1$"):
        Registry([tmp_path]).get("tiny", "1.0")


@given(st.lists(st.lists(st.integers(0, 200), min_size=1, max_size=3), min_size=1))
def test_versions_compare_as_numbers(versions: list[list[int]]) -> None:
    found = [Found("tiny", ".".join(map(str, version)), Path()) for version in versions]
    newest = max(found, key=lambda entry: entry.order).version
    padded = [[*version, 0, 0][:3] for version in versions]
    assert [*map(int, newest.split(".")), 0, 0][:3] == max(padded)


def test_the_zoo_is_inside_the_package_and_every_bundle_in_it_loads() -> None:
    assert zoo_directory().name == "zoo"
    assert (zoo_directory() / "__init__.py").is_file()
    for found in Registry([zoo_directory()]).scan():
        bundle = load(found.path) if found.kind == "step" else load_people(found.path)
        most = {"step": 8_000_000, "people": 10_500_000}[found.kind]
        assert sum(file.stat().st_size for file in bundle.path.iterdir()) <= most


def test_each_kind_is_listed_and_had_by_itself(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    make_people_bundle(tmp_path, "eyes")
    place(tmp_path, "broken/1")
    registry = Registry([tmp_path])
    assert [found.full_name for found in registry.scan("people")] == ["eyes/1"]
    assert [found.full_name for found in registry.scan("step")] == ["broken/1", "tiny/1"]
    assert len(registry.scan()) == 3
    assert registry.get("eyes", kind="people") == tmp_path / "eyes" / "1"
    with pytest.raises(BundleNotFound, match=r"no such bundle; found eyes/1$"):
        registry.get("ears", kind="people")


def test_a_bundle_of_another_kind_is_refused_with_what_it_is(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    make_people_bundle(tmp_path, "eyes")
    registry = Registry([tmp_path])
    with pytest.raises(BundleOfAnotherKind, match="eyes: a bundle of kind 'people', which finds people in pictures;"):
        registry.get("eyes")
    with pytest.raises(BundleOfAnotherKind, match="asked for is one of kind 'people', which finds people"):
        registry.get("tiny", "1", "people")


def test_the_newest_version_of_the_asked_kind_is_had(tmp_path: Path) -> None:
    make_bundle(tmp_path, "both", "1")
    make_people_bundle(tmp_path, "both", "2")
    registry = Registry([tmp_path])
    assert registry.get("both").name == "1"
    assert registry.get("both", kind="people").name == "2"
