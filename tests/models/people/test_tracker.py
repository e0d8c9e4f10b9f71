"""Tracks of people, of made-up walkers with a known truth and of arbitrary detections."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inkling.models.errors import SkeletonError
from inkling.models.people.detections import Detections
from inkling.models.people.tracker import PersonTracker, TrackedPeople, TrackerConfig
from tests.models.people.walkers import Errors, Scene, Walker, crowd, film, idf1

CONFIG = TrackerConfig()
SHARP = Errors(missed=0, made_up=0)


def times(seconds: float, rate_hz: float = 15.0) -> list[float]:
    return [i / rate_hz for i in range(round(seconds * rate_hz))]


def follow(scene: Scene, config: TrackerConfig = CONFIG) -> list[TrackedPeople]:
    tracker = PersonTracker(config)
    return [tracker.update(found, pts_s) for found, pts_s in zip(scene.found, scene.pts_s, strict=True)]


def ids(people: list[TrackedPeople]) -> list[list[int]]:
    return [seen.tracks.tolist() for seen in people]


def walk(pts_s: list[float], *walkers: Walker, errors: Errors = SHARP, seed: int = 0) -> Scene:
    return film(walkers, pts_s, np.random.default_rng(seed), errors)


ONE = Walker(x=100, y=400, speed=80, height=160)


def somebody(score: float, x: float = 100.0) -> Detections:
    """One person who stands at x and is found with this score."""
    joints = Walker(x, 400, 0, 160).joints(0)
    box = Walker(x, 400, 0, 160).box(0)
    keypoints = np.column_stack([joints, np.full(17, 0.5)])
    boxes, scores = np.array([box], np.float32), np.array([score], np.float32)
    return Detections(boxes, scores, keypoints[None].astype(np.float32))


def together(*people: Detections) -> Detections:
    return Detections(
        np.concatenate([p.boxes for p in people]),
        np.concatenate([p.scores for p in people]),
        np.concatenate([p.keypoints for p in people]),
    )


NOBODY = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 17, 3), np.float32))


@pytest.mark.parametrize("rate_hz", [2, 5, 15, 60])
def test_a_walker_has_one_track_at_any_frame_rate(rate_hz: float) -> None:
    people = follow(walk(times(5, rate_hz), ONE))
    assert {track for frame in ids(people) for track in frame} == {1}
    assert ids(people)[1:] == [[1]] * (len(people) - 1)


def test_what_is_tracked_is_what_was_found() -> None:
    scene = walk(times(1), ONE)
    for found, seen in zip(scene.found[1:], follow(scene)[1:], strict=True):
        assert np.array_equal(seen.boxes, found.boxes)
        assert np.array_equal(seen.keypoints, found.keypoints)
        assert np.array_equal(seen.scores, found.scores)


@pytest.mark.parametrize("rate_hz", [5, 10, 15, 30])
def test_two_people_who_cross_keep_their_tracks(rate_hz: float) -> None:
    scene = walk(times(5, rate_hz), ONE, Walker(x=540, y=405, speed=-90, height=170))
    said = follow(scene)
    assert {track for frame in ids(said) for track in frame} == {1, 2}
    assert idf1(scene, ids(said), [seen.boxes.astype(float) for seen in said]) > 0.85  # one is hidden for a moment


def test_a_crowd_keeps_most_of_its_tracks_through_noise_and_people_who_are_not_there() -> None:
    scores, switched = [], 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        scene = film(crowd(4, rng), times(8), rng)
        said = follow(scene)
        scores.append(idf1(scene, ids(said), [seen.boxes.astype(float) for seen in said]))
        switched += len({track for frame in ids(said) for track in frame}) - 4
    assert np.mean(scores) > 0.88
    assert switched <= 8, "tracks that were begun again, in 6 films"


def test_who_lies_down_and_is_hardly_seen_keeps_the_track() -> None:
    faller = replace(ONE, lies_from_s=2)
    weak = Errors(missed=0.1, made_up=0, lying=(0.07, 0.14))
    said = ids(follow(walk(times(8), faller, errors=weak, seed=1)))
    assert {track for frame in said for track in frame} == {1}
    assert sum(map(len, said)) > 0.85 * 8 * 15
    strict = ids(follow(walk(times(8), faller, errors=weak, seed=1), replace(CONFIG, keep_score=0.15)))
    assert sum(map(len, strict)) < 0.4 * 8 * 15, "else the scores of this test are not weak"


def test_a_sure_person_has_a_track_at_once_and_a_fairly_sure_one_when_seen_again() -> None:
    tracker = PersonTracker(CONFIG)
    assert tracker.update(somebody(CONFIG.sure_score), 0).tracks.tolist() == [1]
    tracker = PersonTracker(CONFIG)
    assert tracker.update(somebody(CONFIG.begin_score), 0).tracks.tolist() == []
    assert tracker.update(somebody(CONFIG.begin_score), 0.1).tracks.tolist() == [1]


def test_weak_detections_begin_nothing_however_long_they_last() -> None:
    tracker = PersonTracker(CONFIG)
    for i in range(100):
        assert not len(tracker.update(somebody(CONFIG.begin_score - 0.01), i / 15).tracks)
    assert len(tracker) == 0


def test_an_unconfirmed_person_is_not_confirmed_by_a_weak_detection_nor_long_after() -> None:
    tracker = PersonTracker(CONFIG)
    tracker.update(somebody(CONFIG.begin_score), 0)
    assert not len(tracker.update(somebody(CONFIG.begin_score - 0.01), 0.1).tracks)
    for i in range(2, 8):
        tracker.update(NOBODY, i / 10)
    assert len(tracker) == 0
    assert not len(tracker.update(somebody(CONFIG.begin_score), 0.8).tracks)


def test_who_is_lost_for_less_than_the_limit_keeps_the_track_and_who_returns_later_is_new() -> None:
    tracker = PersonTracker(CONFIG)
    assert tracker.update(somebody(0.5), 0).tracks.tolist() == [1]
    assert tracker.update(NOBODY, 0.5).tracks.tolist() == []
    assert tracker.alive == 1
    assert tracker.update(somebody(0.5), 1.0).tracks.tolist() == [1]
    assert tracker.update(NOBODY, 1.5).tracks.tolist() == []
    assert tracker.update(NOBODY, 2.1).tracks.tolist() == []
    assert tracker.alive == len(tracker) == 0
    assert tracker.update(somebody(0.5), 2.2).tracks.tolist() == [2]


@pytest.mark.parametrize("jump_s", [-5.0, 5.0])
def test_after_a_jump_in_time_everybody_is_new(jump_s: float) -> None:
    tracker = PersonTracker(CONFIG)
    assert tracker.update(somebody(0.5), 10).tracks.tolist() == [1]
    assert tracker.update(somebody(0.5), 10 + jump_s).tracks.tolist() == [2]
    assert tracker.update(somebody(0.5), 10.1 + jump_s).tracks.tolist() == [2]


def test_frames_that_are_a_little_late_or_have_the_same_time_change_nobody() -> None:
    tracker = PersonTracker(CONFIG)
    for pts_s in (10.0, 10.1, 10.05, 10.1, 9.7, 10.1, 10.2):
        assert tracker.update(somebody(0.5, x=100), pts_s).tracks.tolist() == [1]


def test_reset_forgets_everybody_and_uses_no_track_again() -> None:
    tracker = PersonTracker(CONFIG)
    tracker.update(together(somebody(0.5), somebody(0.4, x=400)), 0)
    tracker.reset()
    assert len(tracker) == 0
    assert tracker.update(somebody(0.5), 0.1).tracks.tolist() == [3]


def test_the_same_person_found_twice_has_one_track() -> None:
    tracker = PersonTracker(CONFIG)
    assert tracker.update(together(somebody(0.5), somebody(0.45, x=102)), 0).tracks.tolist() == [1]
    assert tracker.update(together(somebody(0.5), somebody(0.45, x=102)), 0.1).tracks.tolist() == [1]


def test_beyond_the_most_tracks_nobody_new_gets_one() -> None:
    people = [Walker(x=40 + 60 * (i % 10), y=60 + 40 * (i // 10), speed=0, height=36) for i in range(200)]
    scene = walk(times(1), *people, errors=replace(SHARP, hidden_from=2))
    assert {len(found.scores) for found in scene.found} == {200}
    config = replace(CONFIG, most=20)
    tracker = PersonTracker(config)
    said = [tracker.update(found, pts_s).tracks.tolist() for found, pts_s in zip(scene.found, scene.pts_s, strict=True)]
    assert len(tracker) == 20
    assert sorted({track for frame in said for track in frame}) == list(range(1, 21))
    many = follow(scene)
    assert len(many[-1].tracks) <= CONFIG.most


def test_a_person_whose_numbers_are_not_finite_is_not_there() -> None:
    for array in ("boxes", "scores", "keypoints"):
        for value in (np.nan, np.inf, -np.inf):
            broken = somebody(0.5)
            getattr(broken, array).flat[0] = value
            tracker = PersonTracker(CONFIG)
            assert tracker.update(together(broken, somebody(0.5, x=400)), 0).tracks.tolist() == [1]
            assert len(tracker) == 1


def test_what_does_not_fit_is_refused() -> None:
    tracker = PersonTracker(replace(CONFIG, skeleton="body13"))
    with pytest.raises(ValueError, match="13 joints"):
        tracker.update(somebody(0.5), 0)
    with pytest.raises(ValueError, match="finite"):
        tracker.update(NOBODY, float("nan"))
    with pytest.raises(SkeletonError):
        TrackerConfig(skeleton="octopus")
    with pytest.raises(ValueError, match="in order"):
        TrackerConfig(begin_score=0.1, keep_score=0.2)
    with pytest.raises(ValueError, match="positive"):
        TrackerConfig(lost_s=0)


def test_a_tracker_goes_on_from_a_snapshot_as_the_one_it_was_taken_of() -> None:
    rng = np.random.default_rng(3)
    scene = film(crowd(5, rng), times(6), rng)
    whole = follow(scene)
    first, second = PersonTracker(CONFIG), PersonTracker(CONFIG)
    for found, pts_s in zip(scene.found[:40], scene.pts_s[:40], strict=True):
        first.update(found, pts_s)
    saved = {name: np.asarray(value).tolist() for name, value in first.snapshot().items()}
    second.restore(json.loads(json.dumps(saved)))
    for found, pts_s, seen in zip(scene.found[40:], scene.pts_s[40:], whole[40:], strict=True):
        again = second.update(found, pts_s)
        assert np.array_equal(again.tracks, seen.tracks)
        assert np.array_equal(again.keypoints, seen.keypoints)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_everything_twice_as_slow_is_the_same(factor: float) -> None:
    rng = np.random.default_rng(5)
    scene = film(crowd(5, rng), times(6), rng)
    slow = replace(
        CONFIG,
        lost_s=CONFIG.lost_s * factor,
        unconfirmed_s=CONFIG.unconfirmed_s * factor,
        velocity_s=CONFIG.velocity_s * factor,
        coast_s=CONFIG.coast_s * factor,
        stray=CONFIG.stray / factor,
    )
    later = replace(scene, pts_s=[pts_s * factor for pts_s in scene.pts_s])
    assert ids(follow(scene)) == ids(follow(later, slow))


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_the_order_in_which_people_are_found_changes_nothing(seed: int, people: int) -> None:
    rng = np.random.default_rng(seed)
    scene = film(crowd(people, rng), times(2, 8), rng, Errors(made_up=0.5))
    mixed = [found.take(rng.permutation(len(found.scores))) for found in scene.found]
    for one, other in zip(follow(scene), follow(replace(scene, found=mixed)), strict=True):
        assert np.array_equal(one.tracks, other.tracks)
        assert np.array_equal(one.keypoints, other.keypoints)


NUMBERS = st.floats(width=32) | st.floats(-50, 700, width=32)


@st.composite
def any_detections(draw: st.DrawFn) -> Detections:
    """Whatever an estimator might say: few places, so that people are alike, lie on each other, or are no people."""
    people = draw(st.integers(0, 8))
    if draw(st.booleans()):
        rng = np.random.default_rng(draw(st.integers(0, 3)))
        boxes = rng.integers(0, 4, (people, 4)) * 50.0
        return Detections(
            boxes.astype(np.float32),
            rng.choice([0.05, 0.1, 0.2, 0.5], people).astype(np.float32),
            (rng.integers(0, 3, (people, 17, 3)) * [60, 60, 0.5]).astype(np.float32),
        )
    flat = np.array(draw(st.lists(NUMBERS, min_size=5 * people, max_size=5 * people)), np.float32).reshape(people, 5)
    joints = np.repeat(flat[:, None, :3], 17, 1)
    return Detections(flat[:, :4], flat[:, 4], joints)


@given(st.lists(st.tuples(any_detections(), st.floats(-3, 3)), max_size=12))
@settings(max_examples=80, deadline=None)
def test_whatever_comes_tracks_are_unique_bounded_finite_and_never_used_again(
    frames: list[tuple[Detections, float]],
) -> None:
    tracker = PersonTracker(replace(CONFIG, most=5))
    pts_s, ever, before = 0.0, set[int](), set[int]()
    for found, passed_s in frames:
        pts_s += passed_s
        seen = tracker.update(found, pts_s)
        tracks = seen.tracks.tolist()
        assert tracks == sorted(set(tracks)), "each is there once"
        assert len(tracker) <= 5
        assert len(tracks) <= tracker.alive <= len(tracker)
        new = set(tracks) - ever
        assert not new or min(new) > max(ever, default=0), "ids only grow"
        if abs(passed_s) > CONFIG.lost_s:
            assert not set(tracks) & before
        ever |= new
        before = set(tracks)
        for array in (seen.boxes, seen.scores, seen.keypoints):
            assert np.isfinite(array).all()
        for value in tracker.snapshot().values():
            assert np.isfinite(value).all()


def test_empty_frames_before_people_change_nothing_for_them() -> None:
    tracker = PersonTracker(CONFIG)
    for i in range(20):
        assert not len(tracker.update(NOBODY, i / 15).tracks)
    assert tracker.update(somebody(0.5), 20 / 15).tracks.tolist() == [1]


def test_the_measure_of_these_tests_is_right_on_a_scene_written_out() -> None:
    box = np.array([0, 0, 10, 10.0])
    far = box + np.array([50, 0, 50, 0])
    both = np.array([box, far])
    scene = Scene([0, 1, 2, 3], [[0, 1]] * 4, [both] * 4, [NOBODY] * 4)
    assert idf1(scene, [[7, 8]] * 4, [both] * 4) == 1
    assert idf1(scene, [[7, 8]] * 3 + [[8, 7]], [both] * 4) == 0.75, "one frame in which two are swapped"
    assert idf1(scene, [[7], [7], [9], [9]], [both[:1]] * 4) == pytest.approx(2 * 2 / (8 + 4)), (
        "two halves of one person"
    )
    assert idf1(scene, [[7, 8]] * 4, [both + 100] * 4) == 0
