from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from inkling.models.video import VideoReader, to_rgb
from inkling.service.annotate import film_writer
from inkling.service.annotate.film_writer import FilmError, FilmWriter
from tests.films import pictures


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_what_is_written_is_read_again_at_its_own_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    monkeypatch.setattr(film_writer, "CODECS", [row for row in film_writer.CODECS if row[0] == codec])
    times = [0.0, 0.04, 0.08, 0.5, 0.54, 1.0]
    colours = [np.full((48, 64, 3), 30 * i + 20, np.uint8) for i in range(6)]
    with FilmWriter(tmp_path / "out.mp4", Fraction(25)) as writer:
        for colour, pts_s in zip(colours, times, strict=True):
            writer.add(colour, pts_s)
    with VideoReader(tmp_path / "out.mp4") as film:
        read = [(pts_s, to_rgb(frame)) for pts_s, frame in film]
    assert [pts_s for pts_s, _ in read] == pytest.approx(times, abs=1e-3)
    for (_, image), colour in zip(read, colours, strict=True):
        assert image.mean() == pytest.approx(colour.mean(), abs=4)
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_an_odd_last_row_and_column_are_cut_off(tmp_path: Path) -> None:
    with FilmWriter(tmp_path / "out.mp4", Fraction(25)) as writer:
        for i, image in enumerate(pictures(3, 49, 65)):
            writer.add(image, i / 25)
    with VideoReader(tmp_path / "out.mp4") as film:
        assert {to_rgb(frame).shape for _, frame in film} == {(48, 64, 3)}


def test_on_an_error_nothing_is_left(tmp_path: Path) -> None:
    def half() -> None:
        with FilmWriter(tmp_path / "out.mp4", Fraction(25)) as writer:
            writer.add(pictures(1)[0], 0.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(FilmError, match=r"is written as \.mp4, \.mov, \.mkv"):
        FilmWriter(tmp_path / "out.gif", Fraction(25))
    with pytest.raises(FilmError, match="cannot be written: No such file"):
        FilmWriter(tmp_path / "none" / "out.mp4", Fraction(25))
    with FilmWriter(tmp_path / "out.mp4", Fraction(25)) as writer:
        writer.add(pictures(1, 48, 64)[0], 0.0)
        with pytest.raises(FilmError, match=r"changes its size at 0\.04 s, from 64 x 48 to 80 x 48"):
            writer.add(pictures(1, 48, 80)[0], 0.04)
