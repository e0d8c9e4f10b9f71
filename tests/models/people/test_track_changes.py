from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkling.models.people.track_changes import NEAR_S, Changes, TrackChanges
from inkling.models.people.tracker import PersonTracker, TrackedPeople, TrackerConfig
from tests.models.people.walkers import Errors, Walker, film

LOST_S = 1.0
HERE, NEARBY, FAR = (100, 100, 140, 220), (150, 90, 190, 210), (400, 100, 440, 220)


def people(**boxes: tuple[int, int, int, int]) -> TrackedPeople:
    """By track: t1=(left, top, right, bottom)."""
    tracks = np.array([int(name[1:]) for name in boxes], np.int64)
    count = len(tracks)
    return TrackedPeople(
        tracks,
        np.array(list(boxes.values()), np.float32).reshape(count, 4),
        np.ones(count, np.float32),
        np.zeros((count, 17, 3), np.float32),
    )


def test_a_track_begins_once_and_is_lost_once() -> None:
    changes = TrackChanges(LOST_S)
    assert changes.saw(people(t1=HERE), 0.0) == Changes(1, 0, 0)
    assert changes.saw(people(t1=HERE), 0.1) == Changes(0, 0, 0)
    assert changes.saw(people(), 1.0) == Changes(0, 0, 0)
    assert changes.saw(people(), 1.2) == Changes(0, 1, 0)
    assert [changes.saw(people(), 2.0 + i) for i in range(5)] == [Changes()] * 5


@pytest.mark.parametrize(("box", "renewed"), [(NEARBY, 1), (FAR, 0), ((100, 100, 110, 140), 0)])
def test_who_comes_where_somebody_was_lost_is_likely_the_same(box: tuple[int, int, int, int], renewed: int) -> None:
    changes = TrackChanges(LOST_S)
    changes.saw(people(t1=HERE), 0.0)
    assert changes.saw(people(t2=box), 1.5) == Changes(1, 1, renewed)


def test_somebody_who_stands_beside_is_not_taken_over() -> None:
    changes = TrackChanges(LOST_S)
    changes.saw(people(t1=HERE), 0.0)
    assert changes.saw(people(t1=HERE, t2=NEARBY), 0.1) == Changes(1, 0, 0)


def test_each_is_taken_over_once() -> None:
    changes = TrackChanges(LOST_S)
    changes.saw(people(t1=HERE), 0.0)
    assert changes.saw(people(t2=HERE, t3=NEARBY), 1.5) == Changes(2, 1, 1)


def test_after_a_while_it_is_somebody_else() -> None:
    changes = TrackChanges(LOST_S)
    changes.saw(people(t1=HERE), 0.0)
    assert changes.saw(people(t2=HERE), NEAR_S + 0.1) == Changes(1, 1, 0)


def test_a_number_that_changes_while_the_old_one_may_still_return_counts_too() -> None:
    changes = TrackChanges(LOST_S)
    changes.saw(people(t1=HERE), 0.0)
    assert changes.saw(people(t2=HERE), 0.2) == Changes(1, 0, 1)
    assert changes.saw(people(t2=HERE), 0.9) == Changes(0, 0, 0)
    assert changes.saw(people(t2=HERE), 1.5) == Changes(0, 1, 0)


def test_another_recording_and_a_reset_change_nobodys_number() -> None:
    changes = TrackChanges(LOST_S)
    changes.saw(people(t1=HERE), 100.0)
    assert changes.saw(people(t2=HERE), 5.0) == Changes(1, 1, 0)
    changes.reset()
    assert changes.saw(people(t3=HERE), 5.1) == Changes(1, 0, 0)


def test_somebody_who_is_covered_for_long_is_an_id_change_and_somebody_who_walks_by_is_none() -> None:
    """As the tracker really says it, of people whose truth is known."""
    times = [i / 15 for i in range(150)]
    walkers = [Walker(100, 400, 30, 160), Walker(560, 300, 0, 120)]
    scene = film(walkers, times, np.random.default_rng(3), Errors(missed=0, made_up=0))
    for hidden, expected in ((0, 0), (30, 1)):  # frames in which the second is not seen; 30 are two seconds
        tracker, changes = PersonTracker(TrackerConfig()), TrackChanges(LOST_S)
        total = Changes()
        for number, (pts_s, found) in enumerate(zip(times, scene.found, strict=True)):
            if 60 <= number < 60 + hidden:
                found = found.take(found.boxes[:, 0] < 450)
            said = changes.saw(tracker.update(found, pts_s), pts_s)
            total = Changes(*(one + more for one, more in zip(total, said, strict=True)))
        assert total.renewed == expected
        assert total.begun == 2 + expected


@given(st.lists(st.tuples(st.sets(st.integers(0, 5)), st.floats(0, 3, allow_nan=False)), max_size=60))
def test_no_more_are_lost_or_renewed_than_began_and_little_is_kept(frames: list[tuple[set[int], float]]) -> None:
    """Of people who come and go, and have a new number when they were gone for too long, as the tracker gives it."""
    changes, pts_s = TrackChanges(LOST_S), 0.0
    numbers: dict[int, tuple[int, float]] = {}
    newest = 0
    total = Changes()
    for present, passed_s in frames:
        pts_s += passed_s
        for person in sorted(present):
            if person not in numbers or pts_s - numbers[person][1] > LOST_S:
                newest += 1
                numbers[person] = newest, pts_s
            numbers[person] = numbers[person][0], pts_s
        said = changes.saw(people(**{f"t{numbers[person][0]}": HERE for person in sorted(present)}), pts_s)
        total = Changes(*(one + more for one, more in zip(total, said, strict=True)))
    assert total.begun == newest
    assert total.renewed <= total.lost + len(numbers)
    assert total.lost <= total.begun
    changes.saw(people(), pts_s + 10)
    assert not changes._last
