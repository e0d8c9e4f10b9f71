from __future__ import annotations

from pathlib import Path

import pytest

from inkling.training.errors import DataError
from inkling.training.prepare.content_cache import BrokenVideo
from inkling.training.prepare.workers import make_all


def lengths(film: Path, out: Path, plan: str) -> tuple[str, int]:
    """Makes the length of a file, in a file."""
    text = film.read_text(encoding="utf-8")
    if text == "broken":
        raise BrokenVideo("it is broken")
    name = f"{film.stem}-{plan}"
    new = not (out / name).exists()
    (out / name).write_text(str(len(text)), encoding="utf-8")
    return name, len(text) if new else 0


def written(root: Path, **films: str) -> list[str]:
    for name, text in films.items():
        (root / name).write_text(text, encoding="utf-8")
    return sorted(films)


def test_what_was_made_is_not_made_again_and_progress_says_how_far_it_is(tmp_path: Path) -> None:
    paths = written(tmp_path, a="one", b="three")
    said: list[tuple[int, int, str]] = []
    keywords = {"broken": "fail", "workers": 1, "progress": lambda *what: said.append(what)}
    done = make_all(lengths, tmp_path, paths, tmp_path / "new" / "out", "p", **keywords)  # type: ignore[arg-type]
    assert (done.names, done.made, done.frames, done.skipped) == ({"a": "a-p", "b": "b-p"}, 2, 8, ())
    assert said == [(1, 2, ""), (2, 2, "")]
    again = make_all(lengths, tmp_path, paths, tmp_path / "new" / "out", "p", **keywords)  # type: ignore[arg-type]
    assert (again.made, again.frames) == (0, 0)


def test_broken_films_end_it_all_named_or_are_left_out(tmp_path: Path) -> None:
    paths = written(tmp_path, a="broken", b="fine", c="broken")
    with pytest.raises(DataError) as caught:
        make_all(lengths, tmp_path, paths, tmp_path / "out", "p", broken="fail", workers=1, progress=lambda *_: None)
    assert [problem.file.name for problem in caught.value.problems] == ["a", "c"]
    done = make_all(lengths, tmp_path, paths, tmp_path / "out", "p", broken="skip", workers=1, progress=lambda *_: None)
    assert set(done.names) == {"b"}
    assert [problem.reason for problem in done.skipped] == ["it is broken"] * 2
