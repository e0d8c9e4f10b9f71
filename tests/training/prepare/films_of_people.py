"""Films of coloured boxes, which the small people bundle of `tests.people_bundle` takes for people."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.films import make_film
from tests.people_bundle import Box, picture

FPS = 20.0


def walkers_film(
    path: Path, seconds: float = 2.0, people: Mapping[int, Box] | None = None, begins_s: float = 0.0
) -> Path:
    """A film of people who move to the right, a pixel in two frames; nobody is there before `begins_s`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = []
    for i in range(round(seconds * FPS)):
        there = (people or {0: (10, 20, 40, 90)}) if i / FPS >= begins_s else {}
        moved = {who: (box[0] + i // 2, box[1], box[2] + i // 2, box[3]) for who, box in there.items()}
        images.append(picture(96, 128, moved))
    return make_film(path, images, FPS)
