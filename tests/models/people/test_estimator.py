from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models.bundle import PeopleBundle, load_people
from inkling.models.people.estimator import PeopleEstimator
from tests.people_bundle import CONFIDENCE, PLACES, make_people_bundle, picture
from tests.support import OrtGraph


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> PeopleBundle:
    return load_people(make_people_bundle(tmp_path_factory.mktemp("bundles")))


def estimator(bundle: PeopleBundle, **spec: Any) -> PeopleEstimator:
    graph = OrtGraph(bundle.graph)
    return PeopleEstimator(
        bundle.spec.model_copy(update=spec), lambda images: graph.run({bundle.spec.input.name: images})
    )


@pytest.mark.parametrize(("height", "width"), [(240, 320), (640, 360), (2000, 3000)])
def test_people_are_found_in_pixels_of_the_picture(bundle: PeopleBundle, height: int, width: int) -> None:
    eyes = estimator(bundle)
    left, top, right, bottom = width // 8, height // 4, width // 2, height - height // 8
    (found,) = eyes.estimate([eyes.prepare(picture(height, width, {1: (left, top, right, bottom)}))])
    pixel = max(height, width) / 128 + 1
    np.testing.assert_allclose(found.boxes, [[left, top, right, bottom]], atol=pixel)
    joints = PLACES * (right - left, bottom - top) + (left, top)
    np.testing.assert_allclose(found.keypoints[0, :, :2], joints, atol=pixel)
    np.testing.assert_allclose(found.keypoints[0, :, 2], CONFIDENCE)


def test_a_batch_gives_what_each_picture_gives_alone(bundle: PeopleBundle) -> None:
    eyes = estimator(bundle)
    pictures = [picture(96, 128, {n % 3: (8 * n, 4, 8 * n + 30, 90)}) for n in range(6)]
    pictures.append(picture(96, 128, {}))
    prepared = [eyes.prepare(image) for image in pictures]
    for one, together in zip(prepared, eyes.estimate(prepared), strict=True):
        (alone,) = eyes.estimate([one])
        np.testing.assert_array_equal(alone.keypoints, together.keypoints)
    assert len(eyes.estimate(prepared)[-1]) == 0
    assert eyes.estimate([]) == []


def test_scores_below_the_one_that_keeps_are_nobody(bundle: PeopleBundle) -> None:
    image = picture(96, 128, {0: (8, 8, 40, 80)})
    for keep, count in ((0.89, 1), (0.91, 0)):
        eyes = estimator(bundle, thresholds=bundle.spec.thresholds.model_copy(update={"keep": keep, "begin": 1.0}))
        (found,) = eyes.estimate([eyes.prepare(image)])
        assert len(found) == count


def test_joints_below_their_threshold_are_missing(bundle: PeopleBundle) -> None:
    eyes = estimator(bundle, thresholds=bundle.spec.thresholds.model_copy(update={"joint": 0.81}))
    (found,) = eyes.estimate([eyes.prepare(picture(96, 128, {0: (8, 8, 40, 80)}))])
    assert len(found) == 1
    assert not found.keypoints.any()


def test_no_more_people_than_the_most(bundle: PeopleBundle) -> None:
    crowd = {0: (4, 4, 30, 80), 1: (40, 4, 70, 80), 2: (80, 4, 120, 80)}
    for most in (2, 3):
        eyes = estimator(bundle, max_people=most)
        assert len(eyes.estimate([eyes.prepare(picture(96, 128, crowd))])[0]) == most


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 8192), (8192, 64), (1, 1)])
def test_pictures_of_odd_sizes_are_looked_at(bundle: PeopleBundle, height: int, width: int) -> None:
    eyes = estimator(bundle)
    (found,) = eyes.estimate([eyes.prepare(picture(height, width, {0: (0, 0, width, height)}))])
    np.testing.assert_allclose(found.boxes, [[0, 0, width, height]], atol=max(height, width) / 64)


def test_numbers_that_are_not_finite_are_an_error_and_nobody_is_made_up(bundle: PeopleBundle) -> None:
    graph = OrtGraph(bundle.graph)

    def broken(images: NDArray[np.uint8]) -> dict[str, Any]:
        outputs = graph.run({"image": images})
        outputs["keypoints"][0, 0, 0] = np.nan
        return outputs

    eyes = PeopleEstimator(bundle.spec, broken)
    with pytest.raises(ValueError, match="colours/1: the graph's output 'keypoints' is not finite"):
        eyes.estimate([eyes.prepare(picture(96, 128, {}))])


def test_a_larger_input_is_had_by_its_longer_side(bundle: PeopleBundle) -> None:
    eyes = estimator(bundle)
    image = picture(480, 640, {})
    assert eyes.prepare(image).shape == (96, 128, 3)
    assert eyes.prepare(image, 256).shape == (192, 256, 3)
    assert eyes.common_shapes() == [(96, 128), (128, 96)]


def test_a_graph_of_one_size_sees_portrait_films_too(tmp_path: Path) -> None:
    bundle = load_people(make_people_bundle(tmp_path, input={"height": 64, "width": 64, "fixed": True}))
    eyes = estimator(bundle)
    (found,) = eyes.estimate([eyes.prepare(picture(320, 160, {2: (20, 40, 100, 200)}), 256)])
    np.testing.assert_allclose(found.boxes, [[20, 40, 100, 200]], atol=8)
