"""Two hundred people in view, through a server: how many are watched, whether they stay, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from inkling.service.protocol.codec import ErrorMessage, Outgoing, PeopleMessage, Prediction
from inkling.service.protocol.image_binary import pack_image
from tests.crowd_bundle import CROWD, crowd, make_crowd_bundle
from tests.service.conftest import Running, finish, opened, running, say, settled, tiny_settings, wait_until
from tests.support import make_bundle

RATE_HZ = 15.0
WATCHED = 16
"""As a bundle has it that does not say otherwise."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("bundles")
    make_bundle(root)
    make_crowd_bundle(root)
    with running(tiny_settings(root, people_bundle="crowds", slots=64)) as shared:
        yield shared


def watch(server: Running, frames: int = 8, **start: Any) -> list[Outgoing]:
    """A crowd whose surest people are others in each picture."""
    chance = np.random.default_rng(1)
    usual = chance.integers(170, 220, CROWD)
    heard: list[Outgoing] = []
    with opened(server, bundle="tiny", input="frame", people=True, **start) as socket:
        for seq in range(frames):
            light = (usual + chance.integers(-20, 20, CROWD)).astype(np.uint8)
            say(socket, pack_image(seq, crowd(brightness=light), seq / RATE_HZ))
            heard += settled(socket, seq)
        rest, summary = finish(socket)
    assert summary.received == summary.stepped == frames
    return heard + rest


def test_of_a_crowd_the_first_are_watched_and_stay_who_they_are(server: Running) -> None:
    heard = watch(server)
    told = [message for message in heard if isinstance(message, PeopleMessage)]
    assert {len(message.people) for message in told} <= {WATCHED - 2, WATCHED - 1, WATCHED}
    tracks = [{person.track for person in message.people} for message in told]
    assert np.mean([len(before & after) for before, after in pairwise(tracks)]) > 0.6 * WATCHED
    predictions = [message for message in heard if isinstance(message, Prediction)]
    assert len(predictions) == sum(len(message.people) for message in told)
    assert max(len(json.dumps(message.model_dump())) for message in told) < 32_000


def test_a_crowd_is_said_to_be_one_once_and_nothing_is_refused(server: Running) -> None:
    errors = [message for message in watch(server) if isinstance(message, ErrorMessage)]
    (warning,) = [error for error in errors if error.code == "too_many_people"]
    assert warning.seq is None
    assert not warning.retryable
    assert "people_max" in warning.message


def test_a_crowd_gives_its_slots_back(server: Running) -> None:
    watch(server, 3)
    server.wait_idle()
    wait_until(lambda: all(stats.slots_used == 0 for stats in server.core.hub.stats()))


def test_more_may_be_watched_where_the_settings_say_so_and_no_more_than_there_is_room_for(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    make_crowd_bundle(tmp_path)
    settings = tiny_settings(tmp_path, people_bundle="crowds", people_max=64, max_people=64, slots=40)
    with running(settings) as server:
        heard = watch(server, 4)
        told = [message for message in heard if isinstance(message, PeopleMessage)]
        assert len(told[-1].people) > 32
        watched = {message.track for message in heard if isinstance(message, Prediction)}
        assert len(watched) == 40, "as many as there are slots"
        errors = [message for message in heard if isinstance(message, ErrorMessage)]
        assert {error.code for error in errors} <= {"no_slot", "too_many_people"}
        assert sum(error.code == "no_slot" for error in errors) >= 20, "once for each who is not watched"
        assert httpx.get(f"{server.url}/readyz").status_code == 200
