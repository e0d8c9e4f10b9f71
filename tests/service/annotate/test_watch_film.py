"""A real server watches real films, and what is collected is what scoring them says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inkling.client import Client
from inkling.service.annotate.watch_film import watch_film
from tests.coloured_people import RED, room
from tests.films import make_film
from tests.service.annotate.conftest import FRAMES, MIDDLE
from tests.service.conftest import Running


def test_everybody_is_seen_where_they_are(eyes: Running, three_people: Path) -> None:
    told: list[float] = []
    watched = watch_film(Client(eyes.url), three_people, "tiny", progress=lambda pts_s, duration_s: told.append(pts_s))
    assert (watched.size, watched.frames, watched.bundle) == ((128, 96), FRAMES, "tiny 1")
    assert watched.rate == pytest.approx(30, rel=0.01)
    assert len(told) == FRAMES
    people = watched.record.people_at(0.8)
    assert len(people) == 3
    assert any(np.allclose(one.body.box, MIDDLE, atol=2) for one in people if one.body is not None)
    assert all(one.leading for one in people)
    assert watched.record.events, "the tiny bundle begins something at once"


def test_a_watched_film_says_what_its_score_says(eyes: Running, three_people: Path) -> None:
    client = Client(eyes.url)
    scored = client.score(three_people, "tiny")
    record = watch_film(client, three_people, "tiny").record
    assert set(record.tracks) == set(scored.tracks)
    for track in scored.tracks:
        times, probabilities = scored.of(track)
        for pts_s, shares in zip(times, probabilities, strict=True):
            (now,) = (one for one in record.people_at(pts_s, best=9) if one.track == track)
            assert sorted((share for _, share in now.leading), reverse=True) == pytest.approx(
                sorted(shares, reverse=True), abs=1e-6
            )
    assert [event.model_copy(update={"seq": 0}) for event in record.events] == [
        event.model_copy(update={"seq": 0}) for event in scored.events
    ]


def test_people_of_a_large_picture_are_in_its_own_pixels(eyes: Running, tmp_path: Path) -> None:
    box = (200, 300, 700, 1300)
    film = make_film(tmp_path / "large.mkv", [room({RED: box}, 1440, 1920)] * 4, 15.0)  # more than is sent whole
    watched = watch_film(Client(eyes.url), film, "tiny")
    assert watched.size == (1920, 1440)
    (person,) = watched.record.people_at(0.1)
    assert person.body is not None
    np.testing.assert_allclose(person.body.box, box, atol=20)


def test_a_film_without_anybody_is_watched_too(eyes: Running, tmp_path: Path) -> None:
    film = make_film(tmp_path / "empty.mkv", [room({})] * 10, 15.0)
    watched = watch_film(Client(eyes.url), film, "tiny")
    assert (watched.frames, watched.record.tracks) == (10, [])
