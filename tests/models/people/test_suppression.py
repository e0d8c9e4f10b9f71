from __future__ import annotations

import numpy as np

from inkling.models import skeletons
from inkling.models.people.detections import Detections
from inkling.models.people.suppression import one_of_each

NAMES = skeletons.get("coco17").joints


def people(*where: tuple[float, float, float], joints_moved: float = 0.0) -> Detections:
    """(left, top, score) of each, 40 px wide and 100 px high; joints_moved: px, of the joints but not of the boxes."""
    rng = np.random.default_rng(0)
    body = rng.uniform([0, 0], [40, 100], (17, 2))
    boxes = np.array([[x, y, x + 40, y + 100] for x, y, _ in where], np.float32)
    points = np.array([body + np.array([x, y]) for x, y, _ in where])
    points[1:] += joints_moved
    keypoints = np.concatenate([points, np.full((*points.shape[:2], 1), 0.5)], -1).astype(np.float32)
    return Detections(boxes, np.array([score for *_, score in where], np.float32), keypoints)


def test_a_weaker_copy_of_a_person_is_left_out() -> None:
    kept = one_of_each(people((10, 10, 0.15), (12, 10, 0.6)), NAMES, 9)
    assert kept.scores.tolist() == [np.float32(0.6)]


def test_people_beside_each_other_stay() -> None:
    kept = one_of_each(people((10, 10, 0.5), (40, 10, 0.6), (200, 10, 0.3)), NAMES, 9)
    np.testing.assert_allclose(kept.scores, [0.6, 0.5, 0.3])


def test_two_in_one_box_with_joints_of_their_own_stay() -> None:
    assert len(one_of_each(people((10, 10, 0.5), (10, 10, 0.4), joints_moved=35), NAMES, 9)) == 2


def test_the_surest_come_first_and_no_more_than_the_most() -> None:
    many = people(*((60.0 * i, 10, 0.1 + i / 1000) for i in range(200)))
    kept = one_of_each(many, NAMES, 16)
    assert len(kept) == 16
    np.testing.assert_allclose(kept.scores, [0.1 + i / 1000 for i in range(199, 183, -1)], rtol=1e-6)


def test_nobody_and_one_alone() -> None:
    assert len(one_of_each(Detections.empty(17), NAMES, 4)) == 0
    assert len(one_of_each(people((0, 0, 0.2)), NAMES, 4)) == 1


def test_thousands_of_rows_are_not_compared_with_each_other() -> None:
    """A graph without suppression may answer with as many: all pairs of these would take gigabytes."""
    many = people(*((60.0 * i, 10, 0.1 + i / 100_000) for i in range(20_000)))
    kept = one_of_each(many, NAMES, 16)
    assert len(kept) == 16
    assert kept.scores[0] == many.scores[-1]
