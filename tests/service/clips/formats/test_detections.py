from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from inkling.service.clips.formats.detections import Detection, gather
from inkling.service.clips.formats.frames import Bounds
from inkling.service.protocol.errors import BadClip, TooLarge
from inkling.service.protocol.track_id import UNTRACKED

FLAT = [1.0, 2.0, 0.5] * 17


def bounds() -> Bounds:
    return Bounds(100, 10**6)


def test_images_with_numbers_keep_their_distance() -> None:
    clip = gather([Detection(12, "a", FLAT), Detection(10, "a", FLAT)], bounds())
    assert clip.present["a"].tolist() == [True, False, True]
    assert clip.skeleton == "coco17"


def test_images_with_names_or_far_apart_follow_each_other() -> None:
    for images in (("door.png", "window.png"), (5, 10**12)):
        clip = gather([Detection(image, 1, FLAT) for image in images], bounds())
        assert clip.present[1].tolist() == [True, True]


def test_of_several_without_a_track_the_surest_is_read_and_that_is_said() -> None:
    sure = [9.0, 9.0, 1.0] * 17
    clip = gather([Detection(0, None, FLAT, 0.2), Detection(0, None, sure, 0.9)], bounds())
    np.testing.assert_array_equal(clip.people[UNTRACKED][0, 0], [9, 9, 1])
    assert "track_id" in clip.warnings[0]


@pytest.mark.parametrize("flat", [[], [1.0], [0.0] * 3 * 1000])
def test_keypoints_of_no_shape_are_refused(flat: list[float]) -> None:
    with pytest.raises(BadClip, match="image 3"):
        gather([Detection(3, None, flat)], bounds())


def test_too_many_images_are_refused_as_they_come() -> None:
    def endless() -> Iterator[Detection]:
        number = 0
        while True:
            yield Detection(number, None, None)
            number += 1

    with pytest.raises(TooLarge, match="100 frames"):
        gather(endless(), bounds())
