from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from inkling.models.people.detections import Detections
from inkling.models.people.tracker import PersonTracker, TrackerConfig
from inkling.service.engine.scheduler import Lane
from inkling.service.perception.camera import Camera
from inkling.service.perception.perceiver import Perceiver, PerceptionOutcome, in_camera_pixels
from inkling.service.perception.picture_step import CameraPicture, DecodedPicture, PictureStep
from inkling.service.protocol.errors import BadImage
from tests.coloured_people import RED, FaultyGraph, coloured_people, room
from tests.people_bundle import Box

BOX = (8, 10, 40, 90)


class Stand:
    """A perceiver without its thread, and cameras in front of it."""

    def __init__(self, max_batch: int = 4) -> None:
        self.graph = FaultyGraph()
        self.estimator = coloured_people(self.graph).estimator
        self.outcomes: list[PerceptionOutcome] = []
        self.perceiver = Perceiver("colours/1", self.estimator, self.outcomes.append, max_batch, lambda: 5.0)
        self.cameras: dict[int, tuple[Lane, Camera]] = {}

    def picture(
        self, camera: int, pts_s: float = 0.0, box: Box = BOX, scale: float = 1.0, height: int = 96
    ) -> PictureStep:
        if camera not in self.cameras:
            tracker = PersonTracker(TrackerConfig())
            self.cameras[camera] = Lane(0, 0, lambda rows: rows), Camera(tracker, None, 4)
        prepared = self.estimator.prepare(room({RED: box}, height))
        lane, watched = self.cameras[camera]
        taken = CameraPicture(None, DecodedPicture(prepared, (scale, scale)))
        picture = PictureStep(lane, taken, 0, 3.0, watched, pts_s)
        self.perceiver.submit([picture])
        return picture


def test_one_batch_has_a_picture_of_each_camera_and_of_none_two() -> None:
    stand = Stand()
    pictures = [stand.picture(camera, pts_s) for camera in (1, 2, 3) for pts_s in (0.0, 0.1)]
    while stand.perceiver.run_once():
        pass
    assert stand.graph.batches == [3, 3]
    assert [outcome.runs[0][0] for outcome in stand.outcomes] == [3, 3]
    assert stand.outcomes[0].seen == [pictures[0], pictures[2], pictures[4]]
    assert stand.outcomes[0].queue_s == [2.0, 2.0, 2.0]
    for picture in pictures:
        assert picture.people is not None
        assert picture.people.tracks.tolist() == [1]
        assert picture.people.boxes[0].tolist() == list(BOX)
        assert picture.x is None, "the picture is let go"


def test_people_are_in_pixels_of_the_camera() -> None:
    stand = Stand()
    picture = stand.picture(1, scale=2.5)
    stand.perceiver.run_once()
    assert picture.people is not None
    assert picture.people.boxes[0].tolist() == [2.5 * side for side in BOX]


def test_a_picture_is_decoded_when_the_gate_did_not_pass_over_it() -> None:
    stand = Stand()
    picture = stand.picture(1)
    at_once = picture.x.decoded
    picture.x = CameraPicture(None, lambda: at_once)
    stand.perceiver.run_once()
    assert picture.people is not None
    assert picture.people.tracks.tolist() == [1]


def test_a_picture_that_cannot_be_decoded_then_fails_alone() -> None:
    def broken() -> DecodedPicture:
        raise BadImage("the JPEG is damaged")

    stand = Stand()
    damaged, fine = stand.picture(1), stand.picture(2)
    damaged.x = CameraPicture(None, broken)
    stand.perceiver.run_once()
    assert (stand.outcomes[0].failed, stand.outcomes[0].seen) == ([damaged], [fine])
    assert damaged.people is None


def test_a_run_that_fails_fails_its_own_pictures_and_the_next_one_is_fine() -> None:
    stand = Stand()
    stand.picture(1)
    stand.perceiver.run_once()
    stand.graph.failing = True
    failed = stand.picture(1, 0.1)
    stand.perceiver.run_once()
    assert (stand.outcomes[1].failed, stand.outcomes[1].seen, failed.people) == ([failed], [], None)
    stand.graph.failing = False
    again = stand.picture(1, 0.2)
    stand.perceiver.run_once()
    assert again.people is not None
    assert again.people.tracks.tolist() == [1], "still the same person"


def test_a_defect_of_one_camera_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    stand = Stand()
    bad, good = stand.picture(1), stand.picture(2)

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Camera, "track", lambda self, *a: broken() if self is bad.camera else ORIGINAL(self, *a))
    stand.perceiver.run_once()
    assert (stand.outcomes[0].failed, stand.outcomes[0].seen) == ([bad], [good])


ORIGINAL = Camera.track


def test_an_estimator_that_forgets_a_picture_has_failed() -> None:
    stand = Stand()
    stand.estimator.estimate = lambda pictures: []  # type: ignore[method-assign]
    picture = stand.picture(1)
    stand.perceiver.run_once()
    assert stand.outcomes[0].failed == [picture]


def test_the_thread_looks_at_what_is_submitted_and_ends() -> None:
    stand, done = Stand(), threading.Event()
    perceiver = Perceiver("r/1", stand.estimator, lambda outcome: done.set(), 4)
    stand.perceiver = perceiver
    perceiver.start()
    picture = stand.picture(1)
    assert done.wait(20)
    assert perceiver.stop(20)
    assert picture.people is not None


def test_scaling_leaves_scores_and_confidences_alone() -> None:
    found = Detections(
        np.array([[1, 2, 3, 4]], np.float32), np.array([0.5], np.float32), np.full((1, 17, 3), 0.5, np.float32)
    )
    scaled = in_camera_pixels(found, (2.0, 4.0))
    assert scaled.boxes.tolist() == [[2, 8, 6, 16]]
    assert scaled.scores.tolist() == [0.5]
    assert scaled.keypoints[0, 0].tolist() == [1.0, 2.0, 0.5]
    assert found.keypoints[0, 0].tolist() == [0.5, 0.5, 0.5]
    assert in_camera_pixels(found, (1.0, 1.0)) is found
