from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inkling.models.bundle import load
from inkling.training.cli import main
from tests.training.support import read_rows, write_rows, write_stick_set

RECIPE = """
name = "sticks"
rate_hz = 10
[[datasets]]
path = "sticks"
[student]
hidden = 8
widths = [8]
[teacher]
hidden = 8
widths = [8]
[fit]
epochs = 2
[validation]
share = 0.3
"""


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the verbs set one variable


def test_from_clips_to_a_verified_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stick_set(tmp_path / "data" / "sticks")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    run, bundles, data = str(tmp_path / "run"), str(tmp_path / "bundles"), str(tmp_path / "data")
    recipe = str(tmp_path / "recipe.toml")
    assert main(["fit", recipe, "--out", run, "--data", data, "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "seed-0 student: epoch 2/2" in out
    assert "best: seed 0" in out

    assert main(["export", run, bundles, "--version", "1"]) == 0
    assert "no test figures" in capsys.readouterr().out

    assert main(["evaluate", run, "--data", data]) == 0
    assert "| sticks | 12 | clean |" in capsys.readouterr().out
    assert (tmp_path / "run" / "seed-0" / "evaluation" / "accuracy.png").exists()

    assert main(["export", run, bundles, "--version", "2"]) == 0
    assert "no test figures" not in capsys.readouterr().out
    assert "sticks" in load(tmp_path / "bundles" / "sticks" / "2").spec.quality

    bundle = str(tmp_path / "bundles" / "sticks" / "2")
    assert main(["evaluate", bundle, "--recipe", recipe, "--data", data, "--out", str(tmp_path / "report")]) == 0
    assert (tmp_path / "report" / "evaluation.json").exists()


def test_preparing_says_how_many_clips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(
        tmp_path / "jhmdb.npz",
        keypoints=np.ones((4, 15, 2), np.float32),
        offsets=[0, 2, 4],
        labels=["a", "b"],
        split1=["train", "test"],
        split2=["test", "train"],
        split3=["train", "train"],
    )
    assert main(["prepare", "jhmdb14", str(tmp_path / "jhmdb.npz"), str(tmp_path / "out"), "--split", "2"]) == 0
    assert f"2 clips in {tmp_path / 'out'}" in capsys.readouterr().out
    assert [row["split"] for row in read_rows(tmp_path / "out")] == ["test", "train"]
    assert main(["prepare", "jhmdb14", str(tmp_path / "jhmdb.npz"), str(tmp_path / "each"), "--split", "all"]) == 0
    splits = [[row["split"] for row in read_rows(tmp_path / f"each-{split}")] for split in (1, 2, 3)]
    assert splits == [["train", "test"], ["test", "train"], ["train", "train"]]
    assert main(["prepare", "penn", str(tmp_path / "jhmdb.npz"), str(tmp_path / "out2")]) == 1
    assert "not the download of Penn Action" in capsys.readouterr().err


def test_what_is_wrong_goes_to_stderr_in_full_lines_and_gives_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_stick_set(tmp_path / "sticks", train=4, test=1)
    rows = read_rows(tmp_path / "sticks")
    write_rows(tmp_path / "sticks", [rows[0] | {"split": "x"}, rows[1] | {"path": "[bold]none.npz"}, *rows[2:]])
    (tmp_path / "recipe.toml").write_text(RECIPE)
    assert main(["fit", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "run"), "--data", str(tmp_path)]) == 1
    captured = capsys.readouterr()
    table = tmp_path / "sticks" / "clips.csv"
    assert captured.err.splitlines() == [
        f"{table}:2: split 'x' is not one of train, val, test",
        f"{table}:3: [bold]none.npz: no such file",
    ]
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [[], ["prepare"], ["fit"], ["export", "run", "bundles"], ["dance"]])
def test_wrong_arguments_give_the_usage_and_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: inkling train" in capsys.readouterr().err


def test_help_and_preparing_do_not_load_torch(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom inkling.training.cli import main\n"
        f"code = main(['prepare', 'penn', {str(tmp_path / 'none.zip')!r}, {str(tmp_path / 'out')!r}])\n"
        "sys.exit(code + 10 * ('torch' in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 1
