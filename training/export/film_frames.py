"""Frames of films as a people bundle's graph takes them: what its ranges in eight bits are taken from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.people import PictureInput
from inkling.models.errors import VideoError
from inkling.models.people.input_fit import InputSize, prepare
from inkling.models.video import VideoReader, to_rgb
from inkling.training.errors import ExportError

EACH, FIRST, EVERY = 2, 10, 40
"""So many frames of each film, from this one on, so far apart."""


def film_frames(films: Sequence[Path], given: PictureInput) -> list[NDArray[np.uint8]]:
    """(H, W, 3) RGB of each frame. Raises ExportError when a film cannot be read, or all are too short."""
    size = InputSize(given.height, given.width, given.multiple_of, given.fixed)
    pictures: list[NDArray[np.uint8]] = []
    for film in films:
        try:
            with VideoReader(film, threads=1) as reader:
                frames = islice(reader, FIRST, FIRST + EACH * EVERY, EVERY)
                pictures += [prepare(to_rgb(frame), size).pixels for _, frame in frames]
        except (VideoError, OSError) as error:
            raise ExportError(f"{film} cannot be read: {error}") from error
    if not pictures:
        raise ExportError(f"the films for --int8 have no frame after the first {FIRST}")
    return pictures
