from __future__ import annotations

import pytest

from inkling.models.skeletons import SKELETONS
from inkling.service.annotate.figure import COCO17, Figure
from inkling.service.protocol.codec import PeopleSkeleton


def told(name: str) -> PeopleSkeleton:
    skeleton = SKELETONS[name]
    return PeopleSkeleton(name=name, joints=skeleton.joints, bones=skeleton.bones)


def test_of_coco17_the_first_five_joints_are_the_head() -> None:
    assert Figure.of(told("coco17")) == COCO17
    assert COCO17.head == (0, 1, 2, 3, 4)


def test_a_server_that_does_not_say_has_coco17() -> None:
    assert Figure.of(None) is COCO17


@pytest.mark.parametrize("name", ["body13", "blazepose33", "openpose25", "kinect25-2d"])
def test_other_skeletons_have_their_own_bones_and_a_head(name: str) -> None:
    figure = Figure.of(told(name))
    assert figure.bones == SKELETONS[name].bones
    head = {SKELETONS[name].joints[joint] for joint in figure.head}
    assert head & {"nose", "head"}
    assert not head & {"left_wrist", "neck", "left_ankle"}


def test_bones_of_joints_that_are_not_there_are_left_out() -> None:
    skeleton = PeopleSkeleton(name="odd", joints=("head", "foot"), bones=((0, 1), (1, 2)))
    assert Figure.of(skeleton) == Figure("odd", ((0, 1),), (0,))
