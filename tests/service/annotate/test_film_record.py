from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from inkling.service.annotate.film_record import APART_S, HALF_LOOK_S, STALE_S, FilmRecord
from inkling.service.protocol.codec import Event, PeopleMessage, Prediction, SeenPerson

LABELS = ("idle", "jump", "wave", "fall")


def seen(pts_s: float, at: dict[int, float], confidence: float = 0.9) -> PeopleMessage:
    """Each person `at` so many pixels from the left, 10 wide, their joints on a diagonal."""
    people = [
        SeenPerson(
            track=track,
            box=(x, 0, x + 10, 40),
            score=0.5,
            keypoints=[(x + joint, float(joint), confidence) for joint in range(17)],
        )
        for track, x in at.items()
    ]
    return PeopleMessage(seq=round(pts_s * 100), pts_s=pts_s, people=people)


def said(pts_s: float, track: int, *shares: float) -> Prediction:
    about: dict[str, Any] = {
        "label": LABELS[int(np.argmax(shares))],
        "epoch": 0,
        "skipped": 0,
        "dropped": 0,
        "backlog": 0,
    }
    return Prediction(seq=0, pts_s=pts_s, track=track, probabilities=list(shares), **about)


def happened(pts_s: float, track: int, label: str, phase: str) -> Event:
    return Event.model_validate(
        {"seq": 0, "pts_s": pts_s, "track": track, "label": label, "phase": phase, "probability": 0.9}
    )


def test_between_two_looks_a_body_is_in_between() -> None:
    record = FilmRecord(LABELS)
    record.saw(seen(1.0, {1: 0.0}))
    record.saw(seen(1.2, {1: 20.0}))
    for pts_s, left in ((1.0, 0), (1.05, 5), (1.1, 10), (1.2, 20)):
        (person,) = record.people_at(pts_s)
        assert person.body is not None
        assert person.body.box[0] == pytest.approx(left, abs=1e-4)
        assert person.body.keypoints[3, 0] == pytest.approx(left + 3, abs=1e-4)


def test_nobody_is_made_up_where_nobody_was_seen() -> None:
    record = FilmRecord(LABELS)
    record.saw(seen(1.0, {1: 0.0}))
    record.saw(seen(1.0 + APART_S + 0.2, {1: 20.0}))
    assert [len(record.people_at(pts_s)) for pts_s in (0.9, 1.0, 1.0 + HALF_LOOK_S / 2, 1.25, 3.0)] == [0, 1, 1, 0, 0]


def test_a_joint_that_one_look_lacks_is_where_the_other_has_it() -> None:
    record = FilmRecord(LABELS)
    record.saw(seen(1.0, {1: 0.0}, confidence=0.0))
    record.saw(seen(1.2, {1: 20.0}))
    (person,) = record.people_at(1.1)
    assert person.body is not None
    np.testing.assert_allclose(person.body.keypoints[4], [24, 4, 0.9], rtol=1e-6)


def test_the_leading_labels_are_those_of_the_latest_prediction_for_a_while() -> None:
    record = FilmRecord(LABELS)
    record.saw(seen(1.0, {2: 0.0, 1: 50.0}))
    record.predicted(said(1.0, 2, 0.1, 0.6, 0.3, 0.0))
    record.predicted(said(1.2, 2, 0.7, 0.2, 0.1, 0.0))
    first, second = record.people_at(1.05, best=2)
    assert (first.track, first.leading) == (1, [])
    assert [label for label, _ in second.leading] == ["jump", "wave"]
    assert [share for _, share in second.leading] == pytest.approx([0.6, 0.3])
    assert record.people_at(1.2 + STALE_S + 0.01) == []


def test_who_has_no_body_is_known_by_what_they_do() -> None:
    record = FilmRecord(LABELS)  # of a bundle that takes pictures whole
    record.predicted(said(1.0, 0, 0.1, 0.6, 0.3, 0.0))
    (person,) = record.people_at(1.5)
    assert person.body is None
    assert person.leading[0][0] == "jump"


def test_an_event_is_active_until_it_ends_and_is_told_for_some_seconds() -> None:
    record = FilmRecord(LABELS)
    for pts_s in np.arange(0, 3, 0.1):
        record.saw(seen(float(pts_s), {1: 0.0}))
    record.event(happened(1.0, 1, "fall", "begin"))
    record.event(happened(2.0, 1, "fall", "end"))
    active = [record.people_at(pts_s)[0].active for pts_s in (0.9, 1.0, 1.9, 2.0)]
    assert active == [None, ("fall", 1.0), ("fall", 1.0), None]
    assert [event.phase for event in record.events_at(2.5, 1.0)] == ["end"]
    assert [event.phase for event in record.events_at(2.5, 4.0)] == ["begin", "end"]


def test_poses_of_a_track_are_those_that_were_seen() -> None:
    record = FilmRecord(LABELS)
    record.saw(seen(0.0, {1: 0.0}))
    record.saw(seen(0.1, {1: 5.0, 2: 50.0}))
    pts_s, keypoints = record.poses(1)
    np.testing.assert_array_equal(pts_s, [0.0, 0.1])
    np.testing.assert_array_equal(keypoints[:, 0, 0], [0, 5])
    assert record.tracks == [1, 2]


def test_what_comes_is_told_with_when() -> None:
    record = FilmRecord(LABELS)
    record.saw(seen(1.0, {1: 0.0, 2: 50.0}))
    record.predicted(said(1.0, 1, 0.1, 0.6, 0.3, 0.0).model_copy(update={"for_s": 1.5}))
    record.predicted(said(1.0, 2, 0.1, 0.6, 0.3, 0.0))
    assert [person.ahead for person in record.people_at(1.0)] == ["in 0.5 s: ", ""]


def test_where_the_score_is_high_unknown_leads() -> None:
    record = FilmRecord(LABELS)
    record.unknown_above = 0.5
    sure = said(1.0, 1, 0.1, 0.6, 0.3, 0.0)
    record.predicted(sure.model_copy(update={"unknown": 0.4}))
    record.predicted(sure.model_copy(update={"unknown": 0.6, "pts_s": 2.0}))
    leading = [[label for label, _ in record.people_at(pts_s)[0].leading] for pts_s in (1.0, 2.0)]
    assert leading == [["jump", "wave", "idle"], ["unknown", "jump", "wave"]]
