from __future__ import annotations

from pathlib import Path

import numpy as np

from inkling.client import Client
from inkling.service.demo.falling import FALL_S, LASTS_S, SECONDS, film, joints
from inkling.service.settings import Settings
from tests.service.conftest import running


def test_the_figure_stands_then_lies() -> None:
    heights = [np.ptp(joints(t_s)[:, 1]) for t_s in (0.0, FALL_S, FALL_S + LASTS_S / 2, FALL_S + LASTS_S, SECONDS)]
    assert heights[0] > 100
    assert np.ptp(heights[:2]) < 3
    assert heights[1] > heights[2] > 2 * heights[3]
    assert np.ptp(heights[3:]) < 3


def test_the_film_can_be_scored_and_the_fall_is_seen_when_it_happens(tmp_path: Path) -> None:
    film(tmp_path / "fall.mp4")
    with running(Settings(port=0, load=("fall-watch",))) as server:
        timeline = Client(server.url).score(tmp_path / "fall.mp4", "fall-watch")
    fall = timeline.labels.index("fall")
    chances = {entry.pts_s: entry.probabilities[fall] for entry in timeline.entries}
    assert max(share for pts_s, share in chances.items() if pts_s < FALL_S) < 0.2
    assert max(share for pts_s, share in chances.items() if FALL_S < pts_s < FALL_S + LASTS_S + 0.5) > 0.6
