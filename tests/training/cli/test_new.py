from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import load, run_vector
from inkling.training.evaluate.onnx_graph import OnnxGraph
from inkling.training.prepare.videos import VIDEO_ENDINGS
from inkling.training.recipe.recipe import read_recipe
from tests.training.support import read_rows, write_rows, write_stick_set
from tests.training.videos import write_video

SMALL = [
    *("frames.height=32", "frames.width=32", "frames.channels=8", "fit.epochs=1", "fit_teacher.epochs=1"),
    *("validation.folds=2", "student.hidden=8", "teacher.hidden=8", "rate_hz=5"),
]


def inkling_train(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inkling.training.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def settings(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


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


def test_a_folder_of_videos_becomes_a_bundle_in_one_command(videos: Path) -> None:
    here = videos.parent
    done = inkling_train("new", videos.name, "--device", "cpu", *settings(*SMALL), cwd=here)
    assert done.returncode == 0, done.stderr
    out = here / "My Videos-model"
    bundle = out / "bundles" / "my-videos" / "1"
    assert "2 of 8 recordings are kept for testing" in done.stdout
    assert f"inkling serve --bundles {out / 'bundles'}" in done.stdout.replace("'", "")
    assert read_recipe(here / "My Videos.toml").name == "my-videos"
    assert "my-videos" in load(bundle).spec.quality
    assert (out / "run" / "seed-0" / "evaluation" / "report.html").stat().st_size > 5000
    run_steps(bundle)

    before = (bundle / "bundle.json").read_bytes()
    again = inkling_train("new", videos.name, "--device", "cpu", *settings(*SMALL), cwd=here)
    assert again.returncode == 0, again.stderr
    assert "seed 0: done already" in again.stdout
    assert (bundle / "bundle.json").read_bytes() == before


def test_a_folder_of_poses_becomes_a_bundle_in_one_command(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=6, test=0)
    rows = [{key: row[key] for key in ("path", "label")} for row in read_rows(tmp_path / "sticks")]
    write_rows(tmp_path / "sticks", rows)
    quick = settings("fit.epochs=1", "student.hidden=8", "student.widths=[8]", "validation.folds=2")
    done = inkling_train("new", "sticks", "--name", "Stick men", "--out", "model", *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run_steps(tmp_path / "model" / "bundles" / "stick-men" / "1")


def test_too_few_clips_for_a_test_are_still_trained_on(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=2, test=0)
    rows = [{key: row[key] for key in ("path", "label")} for row in read_rows(tmp_path / "sticks")]
    write_rows(tmp_path / "sticks", rows)
    quick = settings("fit.epochs=1", "student.hidden=8", "student.widths=[8]", "validation.folds=2")
    done = inkling_train("new", "sticks", *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "not measured: there are no test clips" in done.stdout
    assert "report in" not in done.stdout


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = inkling_train("new", "empty", cwd=tmp_path)
    assert done.returncode == 1
    assert "neither clips.csv nor class folders" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_the_steps_work_as_the_help_prints_them(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "my-videos").symlink_to(videos)
    printed = inkling_train("--help", cwd=tmp_path).stdout
    assert any(ending in str(next(videos.glob("*/*"))) for ending in VIDEO_ENDINGS)
    commands = [line.split()[2:] for line in printed.splitlines() if line.startswith("  inkling train ")]
    assert [words[0] for words in commands] == ["new", "prepare", "fit", "evaluate", "export"]
    # Smaller frames, so that it takes seconds: the recipe that prepare writes asks for what was prepared.
    smaller = {
        "prepare": ["--height", "32", "--width", "32", "--rate", "5"],
        "fit": settings(*(change for change in SMALL if not change.startswith(("rate", "frames.h", "frames.w")))),
    }
    for words in commands[1:]:
        done = inkling_train(*words, *smaller.get(words[0], []), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    run_steps(tmp_path / "bundles" / "mine" / "1")
    assert "mine" in load(tmp_path / "bundles" / "mine" / "1").spec.quality
