from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from inkling.training import fit as fit_module
from inkling.training.cli import main
from inkling.training.run import Run
from tests.training.cli.test_command import RECIPE
from tests.training.support import write_stick_set


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the verbs set one variable


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_stick_set(root / "sticks", train=6, test=2)
    (root / "recipe.toml").write_text(RECIPE)
    return root


def fit_command(data: Path, out: Path, *options: str) -> list[str]:
    return ["fit", str(data / "recipe.toml"), "--data", str(data), "--out", str(out), "--device", "cpu", *options]


QUICK = ("--set", "fit.epochs=1", "--set", "distillation.alpha=0", "--set", "student.hidden=6")


def test_keys_are_changed_and_the_run_keeps_to_them(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(fit_command(data, tmp_path / "run", *QUICK)) == 0
    run = Run.open(tmp_path / "run")
    assert (run.recipe.fit.epochs, run.recipe.student.hidden) == (1, 6)
    out = capsys.readouterr().out
    assert "Only 6 validation clips" in out
    assert out.endswith(f"next: inkling train evaluate {tmp_path / 'run'}\n")
    assert main(fit_command(data, tmp_path / "run", *QUICK)) == 0
    assert "seed 0: done already" in capsys.readouterr().out
    assert main(fit_command(data, tmp_path / "run", *QUICK, "--set", "fit.epochs=2")) == 1
    assert "a fit of another recipe" in capsys.readouterr().err


def test_a_run_knows_its_data_and_says_when_they_are_gone(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stick_set(tmp_path / "sticks", train=6, test=2)
    command = fit_command(data, tmp_path / "run", *QUICK, "--data", str(tmp_path))
    assert main(command) == 0
    for verb in ("evaluate", "calibrate"):
        assert main([verb, str(tmp_path / "run")]) == 0
    (tmp_path / "sticks").rename(tmp_path / "moved")
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{tmp_path / 'sticks'} is not there any more; say where it is now with --data" in error
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "moved").rename(tmp_path / "elsewhere" / "sticks")
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "elsewhere")]) == 0


def test_an_unknown_key_is_a_sentence(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(fit_command(data, tmp_path / "run", "--set", "fit.epoch=1")) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("--set fit.epoch: recipes have no such key; did you mean fit.epochs")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", ["cuda", "gpu"])
def test_a_missing_gpu_is_a_sentence_and_code_1(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(fit_command(data, tmp_path / "run", "--device", name)) == 1
    error = capsys.readouterr().err
    assert error.startswith("device cuda: PyTorch finds no CUDA GPU here")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_number_of_devices_arrives(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrived: list[Any] = []

    class Stopped(Exception):
        pass

    def train(*arguments: Any, device: str, devices: int, **others: Any) -> float:
        arrived.append((device, devices))
        raise Stopped

    monkeypatch.setattr(fit_module, "train", train)
    with pytest.raises(Stopped):
        main(fit_command(data, tmp_path / "run", "--devices", "2"))
    assert arrived == [("cpu", 2)]
