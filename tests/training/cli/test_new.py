from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import load, run_vector
from inkling.training.cli import main
from inkling.training.cli.command import EPILOG
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.recipe.recipe import read_recipe
from tests.training.support import read_rows, write_rows, write_stick_set
from tests.training.videos import write_video

SMALL = [
    *("frames.height=32", "frames.width=32", "frames.channels=8", "fit.epochs=1", "fit_teacher.epochs=1"),
    *("validation.folds=2", "student.hidden=8", "teacher.hidden=8", "rate_hz=5"),
]


def settings(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the verbs set one variable


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films") / "My Videos"
    for number in range(4):
        for kind in ("drop", "stay"):
            write_video(root / kind / f"{number}.mp4", kind, frames=24, seed=number)
    return root


def run_steps(bundle: Path) -> None:
    """Step a bundle in onnxruntime over its stored vector."""
    loaded = load(bundle)
    answers = run_vector(loaded.spec, OnnxGraph(loaded.step), loaded.vector.inputs)
    assert np.allclose(answers, loaded.vector.logits, atol=loaded.spec.tolerance)


def test_a_folder_of_videos_becomes_a_bundle_in_one_command(videos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = videos.parent
    command = ["new", str(videos), "--device", "cpu", *settings(*SMALL)]
    assert main(command) == 0
    printed, out = capsys.readouterr().out, here / "My Videos-model"
    bundle = out / "bundles" / "my-videos" / "1"
    assert "2 of 8 recordings are kept for testing" in printed
    assert f"inkling serve --bundles '{out / 'bundles'}'" in printed
    assert read_recipe(here / "My Videos.toml").name == "my-videos"
    assert "my-videos" in load(bundle).spec.quality
    assert (out / "run" / "seed-0" / "evaluation" / "report.html").stat().st_size > 5000

    before = (bundle / "bundle.json").read_bytes()
    assert main(command) == 0
    assert "seed 0: done already" in capsys.readouterr().out
    assert (bundle / "bundle.json").read_bytes() == before


def without_splits(root: Path, train: int) -> Path:
    """A data set of poses whose table has paths and labels alone."""
    write_stick_set(root / "sticks", train=train, test=0)
    write_rows(root / "sticks", [{key: row[key] for key in ("path", "label")} for row in read_rows(root / "sticks")])
    return root / "sticks"


QUICK = settings("fit.epochs=1", "student.hidden=8", "student.widths=[8]", "validation.folds=2")


def test_poses_too_few_to_be_tested_become_a_bundle_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = without_splits(tmp_path, train=2), tmp_path / "model"
    assert main(["new", str(source), "--name", "Stick men", "--out", str(out), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "not measured: there are no test clips" in printed
    assert "report in" not in printed
    assert list(load(out / "bundles" / "stick-men" / "1").spec.quality) == ["validation"]


def test_a_folder_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["new", str(tmp_path / "empty")]) == 1
    assert "neither clips.csv nor index.csv nor class folders" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_the_steps_work_as_the_help_prints_them(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my-videos").symlink_to(videos)
    commands = [line.split()[2:] for line in EPILOG.splitlines() if line.startswith("  inkling train ")]
    assert [words[0] for words in commands] == ["new", "prepare", "fit", "evaluate", "export"]
    # Smaller frames, so that it takes seconds: the recipe that prepare writes asks for what was prepared.
    smaller = {
        "prepare": ["--height", "32", "--width", "32", "--rate", "5"],
        "fit": settings(*(change for change in SMALL if not change.startswith(("rate", "frames.h", "frames.w")))),
    }
    for words in commands[1:]:
        assert main([*words, *smaller.get(words[0], [])]) == 0, capsys.readouterr().err
    run_steps(tmp_path / "bundles" / "mine" / "1")
    assert "mine" in load(tmp_path / "bundles" / "mine" / "1").spec.quality
    assert f"path = {json.dumps('mine')}" in (tmp_path / "datasets" / "mine.toml").read_text()
