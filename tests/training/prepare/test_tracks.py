from __future__ import annotations

import numpy as np

from inkling.models.people.detections import Detections
from inkling.models.people.tracker import TrackerConfig
from inkling.training.prepare.tracks import FilmPeople, Track, main_track, tracks_of
from tests.people_bundle import PLACES

CONFIG = TrackerConfig()


def people(*places: tuple[float, float]) -> Detections:
    """People by the left edge and the height of each."""
    keypoints = [np.concatenate([PLACES * (0.4 * h, h) + (x, 10), np.full((17, 1), 0.8)], 1) for x, h in places]
    boxes = [(x, 10, x + 0.4 * h, 10 + h) for x, h in places]
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(places), 0.9, np.float32),
        np.array(keypoints, np.float32).reshape(-1, 17, 3),
    )


def film(*frames: Detections, rate_hz: float = 10.0) -> FilmPeople:
    return FilmPeople(np.arange(len(frames)) / rate_hz, frames)


def test_each_person_becomes_a_track_with_the_times_at_which_they_were_seen() -> None:
    frames = [people((10 + t, 80), (200 - t, 50)) if t not in (7, 8) else people((10 + t, 80)) for t in range(20)]
    one, two = tracks_of(film(*frames), CONFIG)
    np.testing.assert_allclose(one.pts_s, np.arange(20) / 10)
    np.testing.assert_allclose(two.pts_s, np.delete(np.arange(20), [7, 8]) / 10)
    np.testing.assert_allclose(one.keypoints[5], people((15, 80)).keypoints[0])
    assert one.size == 80 * 32
    assert one.number != two.number


def test_who_is_seen_for_a_moment_only_is_left_out() -> None:
    frames = [people((10, 80)) if t < 4 else people() for t in range(20)]
    assert tracks_of(film(*frames), CONFIG, least_s=0.5) == []
    assert len(tracks_of(film(*frames), CONFIG, least_s=0.3)) == 1
    assert tracks_of(film(*[people()] * 5), CONFIG) == []
    assert tracks_of(FilmPeople(np.zeros(0), ()), CONFIG) == []


def test_the_main_track_shows_the_most_of_somebody() -> None:
    frames = [people((10, 80), (200, 40)) if t < 12 else people((200, 40)) for t in range(20)]
    (main,) = main_track(tracks_of(film(*frames), CONFIG))
    assert main.size == 80 * 32, "12 frames of a large person are more than 20 of a small one"
    assert main_track([]) == []


def test_a_part_of_a_film_has_its_frames_only() -> None:
    part = film(*[people((t, 80)) for t in range(20)]).between(0.5, 1.0)
    assert part.pts_s.tolist() == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert part.found[0].boxes[0, 0] == 5


def test_a_long_track_becomes_several_of_about_one_length_and_loses_nothing() -> None:
    track = Track(3, np.arange(100) / 10, np.zeros((100, 17, 3), np.float32), 1.0)
    parts = track.parts(longest_s=4.0)
    assert [part.number for part in parts] == [3, 3, 3]
    np.testing.assert_array_equal(np.concatenate([part.pts_s for part in parts]), track.pts_s)
    assert all(part.pts_s[-1] - part.pts_s[0] <= 4.0 for part in parts)
    assert [len(part.pts_s) for part in track.parts(60.0)] == [100]
