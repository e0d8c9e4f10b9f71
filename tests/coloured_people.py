"""People of one colour each, as `people_bundle` has them, in front of a camera: rooms, joints, and a graph that fails.

So tests of cameras know where everybody is, and need no weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle import PeopleBundle, load_people
from inkling.models.people.estimator import PeopleEstimator
from inkling.service.perception.people_model import PeopleModel
from tests.people_bundle import PLACES, Box, make_people_bundle, picture
from tests.support import OrtGraph

RED, GREEN, BLUE = 0, 1, 2


def room(people: Mapping[int, Box], height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """A picture with people in it: colour -> left, top, right, bottom."""
    return picture(height, width, people)


def moved(box: Box, by: int) -> Box:
    """To the right, in pixels."""
    return box[0] + by, box[1], box[2] + by, box[3]


def joints_of(box: Box) -> NDArray[np.float32]:
    """(17, 2) where the joints of somebody are who is there."""
    low, end = np.array(box[:2], np.float32), np.array(box[2:], np.float32)
    return np.asarray(low + PLACES * (end - low), np.float32)


@cache
def bundle() -> PeopleBundle:
    """The bundle, for three people."""
    with TemporaryDirectory() as root:
        return load_people(make_people_bundle(Path(root), max_people=3))


class FaultyGraph:
    """The real graph, with faults on request and a look at the sizes of its batches."""

    failing = False

    def __init__(self) -> None:
        self.batches: list[int] = []
        self._graph = OrtGraph(bundle().graph)

    def __call__(self, pictures: NDArray[np.uint8]) -> Mapping[str, Array]:
        if self.failing:
            raise RuntimeError("a fault on request")
        self.batches.append(len(pictures))
        return self._graph.run({"image": pictures})


def coloured_people(run: FaultyGraph | None = None) -> PeopleModel:
    """What finds such people, as the service has it."""
    spec = bundle().spec
    return PeopleModel(spec, PeopleEstimator(spec, run or FaultyGraph()))
