"""One clip in several encodings and timings, through a real server.

Where the decoded pixels are the same, so are the numbers; where they are not, the difference is stated.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models.bundle import zoo_directory
from inkling.service.demo.falling import FALL_S, SECONDS, picture
from tests.films import make_film
from tests.service.conftest import WAIT_S, Running, running, tiny_settings

RATE = 20
TICK = Fraction(1, RATE)
IMAGES = [picture(k / RATE) for k in range(round(SECONDS * RATE))]
LOSSLESS: dict[str, Any] = {"codec": "libx264", "pixels": "yuv420p", "options": {"qp": "0", "bf": "0"}}
FALL = 1

Shares = NDArray[np.float64]


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running(tiny_settings(zoo_directory(), load=("fall-watch",), max_clip_bytes=2**26)) as shared:
        yield shared


def scored(server: Running, path: Path, **query: Any) -> tuple[Shares, list[float], list[str]]:
    """Probabilities of a fall, their times, and the warnings."""
    answer = httpx.post(
        f"{server.url}/v1/clips", params={"bundle": "fall-watch"} | query, content=path.read_bytes(), timeout=WAIT_S
    )
    told = answer.raise_for_status().json()
    timeline = told["timeline"]
    assert told["labels"][FALL] == "fall"
    return (
        np.array([one["probabilities"][FALL] for one in timeline]),
        [one["pts_s"] for one in timeline],
        told["warnings"],
    )


@pytest.fixture(scope="module")
def reference(server: Running, tmp_path_factory: pytest.TempPathFactory) -> Shares:
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    shares, times, warnings = scored(server, make_film(path, IMAGES, RATE, base=TICK, **LOSSLESS))
    assert (len(shares), warnings) == (60, [])
    assert max(share for share, pts_s in zip(shares, times, strict=True) if pts_s < FALL_S) < 0.2
    assert shares.max() > 0.6
    return shares


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mkv", {}),
        ("a.ts", {}),
        ("a.avi", {}),
        ("a.flv", {"base": Fraction(1, 1000)}),
        ("a.mov", {"options": {"qp": "0", "bf": "2"}}),
        ("a.h264", {}),
        ("b.mkv", {"codec": "ffv1"}),
        ("c.mkv", {"codec": "libx265", "options": {"x265-params": "lossless=1:log-level=none"}}),
    ],
)
def test_the_same_pictures_in_another_file_give_the_same_numbers(
    server: Running, reference: Shares, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    path = make_film(tmp_path / name, IMAGES, RATE, **({"base": TICK} | LOSSLESS | options))
    shares, _, _ = scored(server, path, **({"fps": RATE} if path.suffix == ".h264" else {}))
    assert np.abs(shares - reference).max() < 1e-4


def test_an_index_at_the_front_changes_nothing(server: Running, reference: Shares, tmp_path: Path) -> None:
    behind = make_film(tmp_path / "a.mp4", IMAGES, RATE, base=TICK, **LOSSLESS)
    with av.open(str(behind)) as file, av.open(str(tmp_path / "b.mp4"), "w", options={"movflags": "faststart"}) as out:
        stream: Any = out.add_stream_from_template(file.streams.video[0])
        for packet in file.demux(file.streams.video[0]):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    head = (tmp_path / "b.mp4").read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")
    assert np.abs(scored(server, tmp_path / "b.mp4")[0] - reference).max() < 1e-4


@pytest.mark.parametrize("begin_s", [2.0, -0.5])
def test_a_film_that_begins_at_another_time_gives_the_same_numbers(
    server: Running, reference: Shares, tmp_path: Path, begin_s: float
) -> None:
    times = [begin_s + k / RATE for k in range(len(IMAGES))]
    shares, pts_s, _ = scored(server, make_film(tmp_path / "a.mkv", IMAGES, times, base=TICK, **LOSSLESS))
    assert pts_s[0] < 0.2
    assert np.abs(shares - reference).max() < 1e-4


def test_irregular_times_of_the_same_pictures_give_the_same_numbers(
    server: Running, reference: Shares, tmp_path: Path
) -> None:
    chance = np.random.default_rng(0)
    times = [k / RATE + (chance.uniform(-0.01, 0.01) if k else 0.0) for k in range(len(IMAGES))]
    path = make_film(tmp_path / "a.mkv", IMAGES, times, base=Fraction(1, 1000), **LOSSLESS)
    assert np.abs(scored(server, path)[0] - reference).max() < 1e-4


def test_pictures_of_irregular_moments_differ_where_the_fall_is_fast(
    server: Running, reference: Shares, tmp_path: Path
) -> None:
    """They show other moments, up to 10 ms from the regular ones: .1 at one step, .01 on average."""
    chance = np.random.default_rng(0)
    times = [k / RATE + (chance.uniform(-0.01, 0.01) if k else 0.0) for k in range(len(IMAGES))]
    path = make_film(tmp_path / "a.mkv", [picture(t) for t in times], times, base=Fraction(1, 1000), **LOSSLESS)
    apart = np.abs(scored(server, path)[0] - reference)
    assert apart.max() < 0.15
    assert apart.mean() < 0.015


@pytest.mark.parametrize("aspect", [Fraction(4, 3), Fraction(1, 2)])
def test_pixels_that_are_not_square_give_nearly_the_same_numbers(
    server: Running, reference: Shares, tmp_path: Path, aspect: Fraction
) -> None:
    """Nearly: the picture was made narrower or lower, and something of it is gone. .014 for 4:3, .04 for 1:2, which has
    half of the rows; read as if they were square, the same pixels give .34 and .46."""
    height, width, _ = IMAGES[0].shape
    size = (round(width / aspect), height) if aspect > 1 else (width, round(height * aspect))
    small = [np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) for image in IMAGES]
    apart: list[Shares] = []
    for tagged in ({"aspect": f"{aspect.numerator}/{aspect.denominator}"}, {}):
        options = LOSSLESS | {"options": LOSSLESS["options"] | tagged}
        path = make_film(tmp_path / f"a{len(tagged)}.mp4", small, RATE, base=TICK, **options)
        apart.append(np.abs(scored(server, path)[0] - reference))
    assert apart[0].max() < (0.03 if aspect > 1 else 0.06)
    assert apart[0].mean() < 0.01
    assert apart[1].max() > 0.2


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"options": {"crf": "23"}}),
        ("b.avi", {"codec": "mjpeg", "pixels": "yuvj420p", "options": {"qmin": "2", "qmax": "3"}}),
        ("c.mp4", {"codec": "mpeg4", "options": {"qmin": "2", "qmax": "4"}}),
    ],
)
def test_what_an_encoder_throws_away_shows_a_little_where_the_fall_is_fast(
    server: Running, reference: Shares, tmp_path: Path, name: str, options: dict[str, Any]
) -> None:
    """Measured: .02 for H.264 (crf 23) and MJPEG, .04 for MPEG-4, at one step; .004 to .007 on average."""
    path = make_film(tmp_path / name, IMAGES, RATE, **({"base": TICK} | LOSSLESS | options))
    apart = np.abs(scored(server, path)[0] - reference)
    assert apart.max() < 0.06
    assert apart.mean() < 0.01
