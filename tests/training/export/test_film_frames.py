from __future__ import annotations

from pathlib import Path

import pytest

from inkling.models.bundle.people import PictureInput
from inkling.training.errors import ExportError
from inkling.training.export.film_frames import EVERY, FIRST, film_frames
from tests.films import make_film, pictures

GIVEN = PictureInput(height=96, width=128)


def test_a_few_frames_of_each_film_are_made_to_fit(tmp_path: Path) -> None:
    films = [
        make_film(tmp_path / "long.mkv", pictures(FIRST + EVERY + 1)),
        make_film(tmp_path / "portrait.mkv", pictures(FIRST + 1, 64, 48)),
    ]
    assert [frame.shape for frame in film_frames(films, GIVEN)] == [(96, 128, 3), (96, 128, 3), (128, 96, 3)]


def test_films_that_are_too_short_or_none_are_refused_by_name(tmp_path: Path) -> None:
    short = make_film(tmp_path / "short.mkv", pictures(3))
    with pytest.raises(ExportError, match="no frame after"):
        film_frames([short], GIVEN)
    (tmp_path / "no-film.txt").write_text("hello")
    with pytest.raises(ExportError, match="no-film"):
        film_frames([tmp_path / "no-film.txt"], GIVEN)
