"""Damage in many shapes: no frame that differs from the undamaged one is ever given."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from inkling.models.errors import VideoError
from inkling.models.video import VideoReader, to_rgb
from tests.films import lose_packets, make_film, quiet_scene

BASE = Fraction(1, 25)
CODECS = {
    "h264": ("libx264", {"g": "25"}),
    "h264-open": ("libx264", {"x264-params": "keyint=25:open-gop=1"}),
    "h264-refreshed": ("libx264", {"x264-params": "keyint=25:intra-refresh=1"}),
    "mpeg4": ("mpeg4", {"g": "12", "bf": "2"}),
    "mpeg2": ("mpeg2video", {"g": "12", "bf": "2"}),
    "hevc": ("libx265", {"x265-params": "log-level=none:keyint=25"}),
}


def given(path: Path, threads: int = 1) -> tuple[dict[int, NDArray[np.uint8]], list[str]]:
    """The frames of a film by their presentation time, and the warnings."""
    with VideoReader(path, threads=threads) as video:
        return {frame.pts or 0: to_rgb(frame) for _, frame in video}, video.warnings


@pytest.fixture(scope="module", params=CODECS)
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, options = CODECS[request.param]
    path = tmp_path_factory.mktemp("films") / f"{request.param}.ts"
    return make_film(path, quiet_scene(120), 25.0, codec, "yuv420p", options=options, base=BASE)


def test_a_whole_film_is_given_whole(film: Path) -> None:
    frames, warnings = given(film)
    assert (len(frames), warnings) == (120, [])


@pytest.mark.parametrize("share", [0.003, 0.01, 0.03])
@pytest.mark.parametrize("threads", [1, 3])
def test_frames_of_a_film_with_lost_packets_are_clean_or_left_out(film: Path, share: float, threads: int) -> None:
    whole, _ = given(film)
    for seed in range(3):
        try:
            frames, warnings = given(lose_packets(film, share, seed), threads)
        except VideoError as error:  # nothing was left
            assert "lost parts on the way" in str(error)  # noqa: PT017
            continue
        for pts, image in frames.items():
            assert np.abs(image.astype(int) - whole[pts]).mean() < 0.01
        assert len(frames) == 120 or "damaged frames were left out" in warnings[0]


def test_a_little_loss_leaves_most_of_a_film_with_many_key_frames(film: Path) -> None:
    if "refreshed" in film.name:  # it has one key frame, at its beginning, and takes long to recover
        return
    counts = [len(given(lose_packets(film, 0.002, seed))[0]) for seed in range(4)]
    assert sum(counts) > 0.5 * 4 * 120
