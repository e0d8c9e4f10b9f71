from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import PeopleBundle, load_people
from inkling.models.bundle.schema import PEOPLE_FILE
from inkling.models.errors import BundleInvalid
from inkling.models.people.estimator import PeopleEstimator
from inkling.service.engine.people_engine import PeopleEngine
from tests.people_bundle import graph, make_people_bundle, picture
from tests.support import replace_file


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> PeopleBundle:
    return load_people(make_people_bundle(tmp_path_factory.mktemp("bundles")))


@pytest.mark.parametrize("fill", [False, True])
def test_a_batch_of_any_size_is_what_each_picture_is_alone(bundle: PeopleBundle, fill: bool) -> None:
    engine = PeopleEngine(bundle, threads=1, max_batch=4, fill=fill)
    engine.warm([(64, 96)])
    images = np.stack([picture(64, 96, {n % 3: (n, n, n + 20, n + 30)}) for n in range(11)])
    together = engine(images)
    for row in range(len(images)):
        alone = engine(images[row : row + 1])
        for name, array in alone.items():
            np.testing.assert_array_equal(array[0], together[name][row])
    assert {len(array) for array in together.values()} == {11}


def test_it_runs_an_estimator(bundle: PeopleBundle) -> None:
    engine = PeopleEngine(bundle, threads=1)
    eyes = PeopleEstimator(bundle.spec, engine)
    engine.warm(eyes.common_shapes())
    (found,) = eyes.estimate([eyes.prepare(picture(96, 128, {1: (10, 10, 50, 90)}))])
    assert found.boxes.tolist() == [[10, 10, 50, 90]]


def test_a_run_that_fails_leaves_nothing_behind(bundle: PeopleBundle) -> None:
    engine = PeopleEngine(bundle, threads=1)
    good = np.stack([picture(64, 96, {0: (5, 5, 20, 30)})])
    before = engine(good)
    with pytest.raises(Exception, match="invalid dimensions"):
        engine(good[..., :2])
    after = engine(good)
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_a_graph_that_onnxruntime_cannot_load_is_refused(tmp_path: Path) -> None:
    path = make_people_bundle(tmp_path)
    whole = graph()
    replace_file(path, PEOPLE_FILE, whole.replace(b"Transpose", b"Transpire"))
    with pytest.raises(BundleInvalid, match="onnxruntime cannot load the graph"):
        PeopleEngine(load_people(path), threads=1)


def test_a_wrong_head_is_refused_before_anything_is_looked_at(tmp_path: Path) -> None:
    path = make_people_bundle(tmp_path)
    replace_file(path, PEOPLE_FILE, graph().replace(b"scores", b"people"))
    with pytest.raises(BundleInvalid, match="output 'scores' is missing from the graph's outputs"):
        PeopleEngine(load_people(path), threads=1)
