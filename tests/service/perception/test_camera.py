from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkling.models.people.detections import Detections
from inkling.models.people.motion import MotionConfig, MotionGate
from inkling.models.people.tracker import PersonTracker, TrackerConfig
from inkling.service.perception.camera import Camera
from tests.coloured_people import joints_of
from tests.people_bundle import Box

STILL = np.zeros((48, 64), np.uint8)
STEP_S = 1 / 15


def camera(*, gate: bool = True, most: int = 4) -> Camera:
    return Camera(PersonTracker(TrackerConfig()), MotionGate(MotionConfig()) if gate else None, most)


def people(*boxes: Box) -> Detections:
    keypoints = [np.concatenate([joints_of(box), np.ones((17, 1), np.float32)], -1) for box in boxes]
    return Detections(np.array(boxes, np.float32), np.full(len(boxes), 0.9, np.float32), np.stack(keypoints))


def looks(watched: Camera, greys: list[NDArray[np.uint8]], begin_s: float = 0.0) -> list[bool]:
    return [not watched.still(grey, begin_s + i * STEP_S, 0) for i, grey in enumerate(greys)]


def test_a_still_room_is_passed_over_and_whatever_moves_is_not() -> None:
    watched = camera()
    assert sum(looks(watched, [STILL] * 60)) < 20
    moved = STILL.copy()
    moved[10:30, 10:20] = 200
    assert watched.passed_over
    assert looks(watched, [moved], 60 * STEP_S) == [True]
    assert not watched.passed_over


def test_nothing_is_passed_over_while_somebody_is_tracked() -> None:
    watched = camera()
    for i in range(60):
        assert not watched.still(STILL, i * STEP_S, 0)
        watched.track(people((10, 10, 40, 90)), i * STEP_S)


def test_without_a_gate_everything_is_looked_at() -> None:
    assert all(looks(camera(gate=False), [STILL] * 40))


def test_after_a_reset_the_room_is_new_and_so_is_everybody() -> None:
    watched = camera()
    assert watched.track(people((10, 10, 40, 90)), 0.0)[0].tracks.tolist() == [1]
    for i in range(1, 90):
        if not watched.still(STILL, i * STEP_S, 0):
            watched.track(Detections.empty(17), i * STEP_S)
    assert watched.still(STILL, 90 * STEP_S, 0)
    assert not watched.still(STILL, 91 * STEP_S, 1), "the first picture of another room"
    assert watched.track(people((10, 10, 40, 90)), 91 * STEP_S)[0].tracks.tolist() == [2]


def test_a_picture_that_could_not_be_looked_at_makes_the_next_one_worth_it() -> None:
    watched = camera()
    looks(watched, [STILL] * 60)
    assert watched.still(STILL, 60 * STEP_S, 0)
    watched.not_perceived()
    assert not watched.still(STILL, 61 * STEP_S, 0)


def test_no_more_people_are_given_on_than_may_be_and_the_longest_tracked_are() -> None:
    watched = camera(most=2)
    watched.track(people((10, 10, 40, 90)), 0.0)
    seen, _ = watched.track(people((300, 10, 330, 90), (150, 10, 180, 90), (10, 10, 40, 90)), STEP_S)
    assert len(seen.tracks) == len(seen.boxes) == len(seen.scores) == len(seen.keypoints) == 2
    assert seen.tracks[0] == 1
