from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.bundle.schema import TimedTemperature
from models.errors import InklingError
from tests.training.support import read_rows, tiny_recipe, write_rows, write_stick_set
from training.errors import DataError
from training.fit import fit
from training.run import Run

KILLED = 9
VICTIM = """
import os, sys
import torch
from tests.training.support import tiny_recipe
from training.fit import fit

torch.set_num_threads(1)
out, data, moment = sys.argv[1:]


def report(line):
    if moment in line:
        os._exit(9)


fit(tiny_recipe(), out, data, device="cpu", report=report)
"""


def weights(run: Run, name: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(run.seed_directory(0) / name, weights_only=True)
    return found


def test_a_fit_leaves_weights_result_and_curves(finished: tuple[Run, Path]) -> None:
    run, _ = finished
    names = {path.name for path in run.seed_directory(0).iterdir()}
    assert names >= {"student.pt", "teacher.pt", "result.json", "tensorboard"}
    assert not names & {"student", "teacher"}, "checkpoints are gone once their stage is done"
    result = run.chosen()
    assert result.labels == ("nod", "raise", "spread")
    assert result.teacher_auc is not None
    assert result.student_auc > 0.5
    assert result.val_clips + result.train_clips == 36
    assert isinstance(result.calibration, TimedTemperature)
    assert 0.05 <= result.calibration.later <= 20


def test_a_killed_fit_ends_with_the_weights_of_an_uninterrupted_one(finished: tuple[Run, Path], tmp_path: Path) -> None:
    whole, data = finished
    out = tmp_path / "run"
    for moment in ("teacher: epoch 2/3", "student: epoch 2/3"):
        victim = subprocess.run([sys.executable, "-c", VICTIM, str(out), str(data), moment], check=False)
        assert victim.returncode == KILLED
        assert list(out.rglob("last.ckpt"))
    continued = fit(tiny_recipe(), out, data, device="cpu")
    for name in ("teacher.pt", "student.pt"):
        expected, found = weights(whole, name), weights(continued, name)
        assert expected.keys() == found.keys()
        for key, value in expected.items():
            assert torch.equal(value, found[key]), f"{name}: {key}"
    ignored = {"created", "git_commit"}
    assert continued.chosen().model_dump(exclude=ignored) == whole.chosen().model_dump(exclude=ignored)


def test_a_finished_seed_is_not_trained_again_and_new_ones_are(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    recipe = tiny_recipe(distillation={"alpha": 0}, fit={"epochs": 1})
    first = fit(recipe, tmp_path / "run", data, device="cpu")
    written = (first.seed_directory(0) / "result.json").read_text()
    lines: list[str] = []
    more = recipe.model_copy(update={"seeds": (0, 1)})
    second = fit(more, tmp_path / "run", data, device="cpu", report=lines.append)
    assert sorted(second.results()) == [0, 1]
    assert (first.seed_directory(0) / "result.json").read_text() == written
    assert [line for line in lines if "seed 0" in line or "seed-0" in line] == ["seed 0: done already"]


def test_without_its_share_of_the_loss_there_is_no_teacher(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    run = fit(tiny_recipe(distillation={"alpha": 0}, fit={"epochs": 1}), tmp_path / "run", data, device="cpu")
    assert run.chosen().teacher_auc is None
    assert not (run.seed_directory(0) / "teacher.pt").exists()


def test_unlabelled_clips_and_three_dimensions_are_trained_on(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=6, test=0, unlabelled=4)
    text = (tmp_path / "sticks" / "dataset.toml").read_text().replace('"stick"', '"stick3"')
    (tmp_path / "sticks" / "dataset.toml").write_text(text + "dimensions = 3\n")
    run = fit(tiny_recipe(fit={"epochs": 1}), tmp_path / "run", tmp_path, device="cpu")
    skeleton = run.chosen().skeleton
    assert skeleton is not None
    assert skeleton.dimensions == 3


def test_bad_data_stops_a_fit_before_it_begins(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=4, test=0)
    rows = read_rows(tmp_path / "sticks")
    write_rows(tmp_path / "sticks", [*rows[:-1], rows[-1] | {"path": "poses/none.npz"}])
    with pytest.raises(DataError, match=r"clips\.csv:13: poses/none\.npz: no such file"):
        fit(tiny_recipe(), tmp_path / "run", tmp_path, device="cpu")
    assert not (tmp_path / "run").exists()


def test_background_needs_a_body_that_can_be_made_up(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    with pytest.raises(InklingError, match="body13"):
        fit(tiny_recipe(background={"clips": 5}), tmp_path / "run", data, device="cpu")


def test_the_callers_randomness_is_left_alone(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    fit(tiny_recipe(distillation={"alpha": 0}, fit={"epochs": 1}), tmp_path / "run", data, device="cpu")
    assert torch.equal(torch.rand(3), expected)


def test_the_recipe_lies_in_the_run(finished: tuple[Run, Path]) -> None:
    run, _ = finished
    assert json.loads((run.directory / "run.json").read_text())["recipe"]["name"] == "tiny"


def test_several_teachers_and_pseudo_labels_are_trained_from(tmp_path: Path) -> None:
    write_stick_set(tmp_path / "sticks", train=6, test=0, unlabelled=4)
    quick = {"fit": {"epochs": 1}}
    run = fit(tiny_recipe(distillation={"teachers": 2}, **quick), tmp_path / "two", tmp_path, device="cpu")
    assert (run.seed_directory(0) / "teacher-1.pt").exists()
    pseudo = {"alpha": 0, "beta": 0, "pseudo_labels": True}
    run = fit(tiny_recipe(distillation=pseudo, **quick), tmp_path / "pseudo", tmp_path, device="cpu")
    assert run.chosen().teacher_auc is not None


def test_a_fit_needs_validation_clips(finished: tuple[Run, Path], tmp_path: Path) -> None:
    _, data = finished
    with pytest.raises(InklingError, match=r"validation\.share must be above 0"):
        fit(tiny_recipe(validation={"share": 0, "select": "last"}), tmp_path / "run", data, device="cpu")
