from __future__ import annotations

import numpy as np

from inkling.models.people.detections import Detections


def three() -> Detections:
    numbers = np.arange(3, dtype=np.float32)
    return Detections(
        numbers[:, None] + np.zeros(4, np.float32), numbers, numbers[:, None, None] + np.zeros((2, 3), np.float32)
    )


def test_nobody_has_the_shapes_of_somebody() -> None:
    nobody = Detections.empty(17)
    assert (nobody.boxes.shape, nobody.scores.shape, nobody.keypoints.shape) == ((0, 4), (0,), (0, 17, 3))
    assert len(nobody) == 0
    assert {nobody.boxes.dtype, nobody.scores.dtype, nobody.keypoints.dtype} == {np.dtype(np.float32)}


def test_people_are_taken_by_a_mask_or_in_an_order() -> None:
    assert three().take(np.array([True, False, True])).scores.tolist() == [0, 2]
    taken = three().take(np.array([2, 0]))
    assert (taken.scores.tolist(), taken.boxes[:, 0].tolist(), taken.keypoints[:, 0, 0].tolist()) == (
        [2, 0],
        [2, 0],
        [2, 0],
    )
