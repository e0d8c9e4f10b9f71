from __future__ import annotations

from pathlib import Path
from typing import IO

import pytest

from inkling.training.prepare.content_cache import BrokenVideo, cached


def five(out: IO[bytes]) -> int:
    out.write(b"five!")
    return 5


def test_a_film_is_known_by_its_content_whatever_it_is_called(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"film")
    first, count = cached(tmp_path / "a.mp4", tmp_path, "key", ".npy", five)
    assert count == 5
    assert (tmp_path / first).read_bytes() == b"five!"
    assert cached(tmp_path / "a.mp4", tmp_path, "key", ".npy", five) == (first, 0)
    other, _ = cached(tmp_path / "b.mp4", tmp_path, "key", ".npy", five)
    assert other.removeprefix("b") == first.removeprefix("a")


def test_another_key_or_content_is_another_file(tmp_path: Path) -> None:
    film = tmp_path / "a.mp4"
    film.write_bytes(b"film")
    names = {cached(film, tmp_path, key, ".npy", five)[0] for key in ("one", "two")}
    film.write_bytes(b"another")
    names.add(cached(film, tmp_path, "one", ".npy", five)[0])
    assert len(names) == 3


def test_what_was_not_finished_leaves_nothing(tmp_path: Path) -> None:
    def broken(out: IO[bytes]) -> int:
        out.write(b"fi")
        raise BrokenVideo("the film ends here")

    (tmp_path / "a.mp4").write_bytes(b"film")
    with pytest.raises(BrokenVideo):
        cached(tmp_path / "a.mp4", tmp_path, "key", ".npy", broken)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert cached(tmp_path / "a.mp4", tmp_path, "key", ".npy", five)[1] == 5


def test_a_film_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BrokenVideo, match="No such file"):
        cached(tmp_path / "a.mp4", tmp_path, "key", ".npy", five)
