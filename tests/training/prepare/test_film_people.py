from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import zoo_directory
from inkling.models.errors import BundleError
from inkling.training.prepare.content_cache import BrokenVideo
from inkling.training.prepare.film_people import EMBEDDED, PeopleFinder, find_people, read_people
from tests.people_bundle import make_people_bundle
from tests.training.prepare.films_of_people import walkers_film


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> PeopleFinder:
    return PeopleFinder.of(make_people_bundle(tmp_path_factory.mktemp("bundles")), 10.0)


def test_the_people_of_the_frames_that_a_model_steps_on_are_kept(tmp_path: Path, finder: PeopleFinder) -> None:
    film = walkers_film(tmp_path / "a.mkv", people={0: (10, 20, 40, 90), 1: (60, 20, 90, 90)}, begins_s=0.5)
    name, frames = find_people(film, tmp_path, finder)
    assert frames == 20, "of 40"
    found = read_people(tmp_path / name)
    np.testing.assert_allclose(found.pts_s, np.arange(20) / 10, atol=1e-3)
    assert [len(people.scores) for people in found.found] == [0] * 5 + [2] * 15
    np.testing.assert_allclose(found.found[10].boxes[:, 0], [20, 70], atol=1)
    assert found.found[0].keypoints.shape == (0, 17, 3)


def test_a_film_is_read_once_whatever_it_is_called_and_again_by_another_finder(
    tmp_path: Path, finder: PeopleFinder
) -> None:
    film = walkers_film(tmp_path / "a.mkv", 1.0)
    first = find_people(film, tmp_path, finder)
    assert first[1] == 10
    assert find_people(film, tmp_path, finder) == (first[0], 0)
    names = {first[0]}
    for other in (replace(finder, rate_hz=5.0), replace(finder, longer_side=64), replace(finder, digest="0")):
        name, frames = find_people(film, tmp_path, other)
        assert frames > 0
        names.add(name)
    assert len(names) == 4
    other_film = walkers_film(tmp_path / "b" / "a.mkv", 0.5)
    assert find_people(other_film, tmp_path, finder)[0] not in names


def test_a_film_in_which_nobody_is_seen_is_read_again(tmp_path: Path, finder: PeopleFinder) -> None:
    name, _ = find_people(walkers_film(tmp_path / "a.mkv", 1.0, begins_s=9.0), tmp_path, finder)
    assert [len(people.scores) for people in read_people(tmp_path / name).found] == [0] * 10


def test_what_is_no_film_leaves_nothing(tmp_path: Path, finder: PeopleFinder) -> None:
    (tmp_path / "a.mp4").write_text("no film", encoding="utf-8")
    for name in ("a.mp4", "none.mp4"):
        with pytest.raises(BrokenVideo):
            find_people(tmp_path / name, tmp_path, finder)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_people_bundle_that_cannot_be_used_is_refused_before_a_film_is_read(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        PeopleFinder.of(tmp_path, 10.0)
    with pytest.raises(BundleError):
        PeopleFinder.of(zoo_directory() / "body-actions" / "5", 10.0)
    bundle = make_people_bundle(tmp_path)
    (bundle / "people.onnx").write_bytes(b"something else")
    with pytest.raises(BundleError):
        PeopleFinder.of(bundle, 10.0)


def test_the_embedded_people_bundle_opens() -> None:
    assert PeopleFinder.of(zoo_directory() / EMBEDDED, 15.0).spec.skeleton.name == "coco17"
