"""Films of people for `eyes`, as the JPEGs of a camera with 640 x 480 pixels, a directory for each camera.

With INKLING_TEST_DATA they are films of UR Fall and the pedestrian film, cut to 4:3; the still camera sees the first
frame of the latter, in which nobody is yet, with a camera's noise. Without, a made-up shape moves where people would
be: nobody is found, so nobody is tracked and stepped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.models.video import VideoReader, to_rgb
from tests.benchmarks.wire import HEIGHT, QUALITY, WIDTH, jpegs

FRAMES = 60
STILL_FRAMES = 40
NOISE = 1.5
"""Standard deviation of the still camera's noise, in grey levels."""
BUSY = (
    # a film; frames before the first that is taken; of so many frames one is taken, about 15 a second
    ("urfall/videos/adl/adl-10-cam0.mp4", 30, 2),
    ("urfall/videos/fall/fall-01-cam0.mp4", 30, 2),
    ("urfall/videos/adl/adl-30-cam0.mp4", 30, 2),
    ("video_samples/intel_sample_videos/one-by-one-person-detection.mp4", 160, 1),
)
EMPTY = BUSY[-1][0]
"""The film whose first frame has nobody in it."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Films:
    """busy: a directory of JPEGs for each camera that sees people; still: of one that sees nobody. about: of what."""

    busy: tuple[Path, ...]
    still: Path
    about: str


def write_films(directory: Path) -> Films:
    """Write the JPEGs below a directory."""
    data = os.environ.get("INKLING_TEST_DATA")
    if not data:
        about = "INKLING_TEST_DATA is not set: a made-up shape moves, in which nobody is found"
        place = np.asarray(cv2.imdecode(np.frombuffer(jpegs(1)[0], np.uint8), cv2.IMREAD_COLOR), np.uint8)
        return Films((_written(directory / "busy-0", jpegs(FRAMES)),), _still(directory, place), about)
    busy = tuple(
        _written(directory / f"busy-{number}", map(encoded, _taken(Path(data) / film, first, every, FRAMES)))
        for number, (film, first, every) in enumerate(BUSY)
    )
    (empty,) = _taken(Path(data) / EMPTY, 0, 1, 1)
    return Films(busy, _still(directory, empty), "films of UR Fall and of pedestrians; an empty pavement")


def encoded(picture: Picture) -> bytes:
    """BGR -> a JPEG."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def read_films(directories: Sequence[str]) -> list[list[bytes]]:
    """The JPEGs of each directory, in the order of their names."""
    return [[path.read_bytes() for path in sorted(Path(directory).iterdir())] for directory in directories]


def _taken(film: Path, first: int, every: int, count: int) -> Iterator[Picture]:
    """BGR (HEIGHT, WIDTH, 3): so many frames, the middle of each."""
    with VideoReader(film, threads=1) as reader:
        for _, frame in islice(reader, first, first + count * every, every):
            picture = to_rgb(frame)[..., ::-1]
            rows, columns = picture.shape[:2]
            wide = min(columns, rows * WIDTH // HEIGHT)
            left = (columns - wide) // 2
            yield np.asarray(cv2.resize(picture[:, left : left + wide], (WIDTH, HEIGHT)), np.uint8)


def _still(directory: Path, picture: Picture) -> Path:
    rng = np.random.default_rng(0)
    noisy = (picture + rng.normal(0, NOISE, picture.shape) for _ in range(STILL_FRAMES))
    return _written(directory / "still", (encoded(np.clip(one, 0, 255).astype(np.uint8)) for one in noisy))


def _written(directory: Path, files: Sequence[bytes] | Iterator[bytes]) -> Path:
    directory.mkdir(parents=True)
    for number, data in enumerate(files):
        (directory / f"{number:04}.jpg").write_bytes(data)
    return directory
