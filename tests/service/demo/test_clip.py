from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from inkling.service.cli.main import main
from inkling.service.client.errors import ClientError
from inkling.service.demo.clip import TURN_S, clip, save, turns
from inkling.service.demo.figure import ACTIONS, pose
from inkling.service.settings import Settings
from tests.service.conftest import running


def test_the_cycle_shows_every_action_once_a_round() -> None:
    assert list(islice(turns("cycle"), 2 * len(ACTIONS))) == [(name, TURN_S) for name in [*ACTIONS, *ACTIONS]]
    assert next(turns("squat")) == ("squat", float("inf"))


def test_a_clip_is_the_figure_at_each_frame() -> None:
    keypoints = clip("squat", 2.0, 25.0)
    assert keypoints.shape == (50, 17, 3)
    np.testing.assert_array_equal(keypoints[7], pose("squat", 7 / 25))


def test_a_clip_of_the_cycle_begins_each_action_anew() -> None:
    keypoints = clip("cycle", TURN_S * 2.5, 10.0)
    first, second, third = list(ACTIONS)[:3]
    assert len(keypoints) == 150
    for frame, action, t_s in ((59, first, 5.9), (60, second, 0.0), (121, third, 0.1)):
        np.testing.assert_allclose(keypoints[frame], pose(action, t_s), atol=1e-3)


@pytest.mark.parametrize(("seconds", "fps"), [(0.0, 30.0), (-1.0, 30.0), (1.0, 0.0), (float("inf"), 30.0)])
def test_a_clip_without_time_is_refused(seconds: float, fps: float) -> None:
    with pytest.raises(ClientError, match="above 0"):
        clip("squat", seconds, fps)


def test_a_clip_is_saved_in_both_formats(tmp_path: Path) -> None:
    keypoints = clip("wave", 1.0, 20.0)
    save(tmp_path / "clip.npz", keypoints, 20.0)
    with np.load(tmp_path / "clip.npz") as arrays:
        np.testing.assert_array_equal(arrays["keypoints"], keypoints)
        np.testing.assert_allclose(arrays["pts_s"], np.arange(20) / 20)
    save(tmp_path / "clip.json", keypoints, 20.0)
    saved = json.loads((tmp_path / "clip.json").read_text())
    assert (saved["skeleton"], saved["fps"]) == ("coco17", 20.0)
    np.testing.assert_allclose(saved["people"][0]["keypoints"], keypoints, atol=1e-3)


def test_another_suffix_and_a_closed_folder_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"clip\.txt: a pose clip is a \.npz or a \.json file"):
        save(tmp_path / "clip.txt", clip("wave", 1.0))
    with pytest.raises(ClientError, match="cannot be written"):
        save(tmp_path / "missing" / "clip.npz", clip("wave", 1.0))


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_what_demo_saves_is_scored(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"clip.{suffix}"
    assert main(["demo", "--save", str(path), "--action", "squat", "--seconds", "3", "--fps", "25"]) == 0
    assert capsys.readouterr().out == f"3 s of squat at 25 frames a second in {path}\n"
    with running(Settings(port=0, load=("body-actions",))) as server:
        assert main(["score", str(path), "--url", server.url]) == 0
    spans = [line for line in capsys.readouterr().out.splitlines() if line.split()[1] != "s"]  # the others are events
    assert "squat" in spans[-1]
    assert float(spans[-1].split()[1]) > 2.8
