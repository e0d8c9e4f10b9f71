"""Files made of films, kept by the film's content: a film is read once, whatever it is called, also after a kill."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO


class BrokenVideo(Exception):
    """A video that cannot be decoded; its text says why."""


def cached(film: Path, folder: Path, key: str, suffix: str, write: Callable[[IO[bytes]], int]) -> tuple[str, int]:
    """Name of the file in `folder` that was made of the film, and what `write` returned: 0 if it was there already.

    key: everything besides the film that decides what is in the file. write: fills a new one, which gets its name only
    when it is whole. Raises BrokenVideo for a film that cannot be read.
    """
    try:
        with film.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise BrokenVideo(error.strerror or "cannot be read") from error
    content.update(key.encode())
    name = f"{film.stem}-{content.hexdigest()[:24]}{suffix}"
    if (folder / name).exists():
        return name, 0
    scratch = folder / f"{name}.{os.getpid()}.partial"
    try:
        with scratch.open("wb") as out:
            count = write(out)
        scratch.replace(folder / name)
    finally:
        scratch.unlink(missing_ok=True)
    return name, count
