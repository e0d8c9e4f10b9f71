from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.coloured_people import BLUE, GREEN, RED, moved, room
from tests.films import make_film
from tests.people_bundle import make_people_bundle
from tests.service.conftest import Running, running, tiny_settings
from tests.support import make_bundle

LEFT, MIDDLE, RIGHT = (8, 10, 40, 90), (50, 14, 74, 84), (84, 12, 118, 88)
FRAMES = 30


@pytest.fixture(scope="session")
def eyes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that finds people of one colour each, and steps a tiny bundle on them."""
    root = tmp_path_factory.mktemp("eyes")
    make_bundle(root, decision={"on": 0.3, "off": 0.0, "min_steps": 1})
    make_people_bundle(root)
    with running(tiny_settings(root, people_bundle="colours")) as shared:
        yield shared


@pytest.fixture(scope="session")
def three_people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of a second at 30 Hz: two people from the beginning, a third later."""
    pictures = []
    for i in range(FRAMES):
        people = {RED: moved(LEFT, i // 3), BLUE: moved(RIGHT, -(i // 6))}
        if i >= 12:
            people[GREEN] = MIDDLE
        pictures.append(room(people))
    return make_film(tmp_path_factory.mktemp("film") / "three.mkv", pictures, 30.0)
