"""Similarity of people, against COCO's definition written out."""

import math

import numpy as np
import pytest

from inkling.models.people.oks import area, iou, oks, sigmas
from inkling.models.skeletons import SKELETONS


def test_sigmas_of_coco_are_cocos() -> None:
    # https://github.com/cocodataset/cocoapi/blob/master/PythonAPI/pycocotools/cocoeval.py, Params.setKpParams
    theirs = [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
    assert np.allclose(sigmas(SKELETONS["coco17"].joints) * 10, theirs)


@pytest.mark.parametrize("name", SKELETONS)
def test_every_skeleton_has_a_sigma_for_each_joint(name: str) -> None:
    found = sigmas(SKELETONS[name].joints)
    assert len(found) == len(SKELETONS[name].joints)
    assert (found > 0).all()


def test_a_joint_counts_by_its_distance_and_by_how_sure_the_less_sure_side_is() -> None:
    one = np.array([[[10, 10, 1.0], [50, 50, 0.5]]])
    other = np.array([[[13, 14, 0.8], [50, 50, 1.0]]])
    near = math.exp(-25 / (2 * 40))
    assert oks(one, other, np.full((1, 1, 2), 40.0))[0, 0] == pytest.approx((near * 0.8 + 1 * 0.5) / 1.3)
    assert oks(one, other, np.full((1, 1, 2), 30.0), 10.0)[0, 0] == pytest.approx((near * 0.8 + 1 * 0.5) / 1.3)


def test_people_without_a_joint_in_common_are_not_alike() -> None:
    one, other = np.array([[[10, 10, 1.0], [0, 0, 0]]]), np.array([[[0, 0, 0], [10, 10, 1.0]]])
    assert oks(one, other, np.full((1, 1, 2), 40.0))[0, 0] == 0


def test_boxes_overlap_by_their_shared_area() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30], [4, 4, 4, 4.0]])
    assert area(boxes).tolist() == [100, 100, 100, 0]
    expected = np.array([[3, 1, 0, 0], [1, 3, 0, 0], [0, 0, 3, 0], [0, 0, 0, 0]]) / 3
    assert np.allclose(iou(boxes, boxes), expected)
