from __future__ import annotations

from pathlib import Path

import pytest

from inkling.training.cli import main
from tests.training.support import write_stick_set

STUDY = """
name = "tiny-study"
base = "base.toml"
seeds = [0]
[sets.other]
splits = ["nowhere"]
[methods.baseline.distillation]
alpha = 0
beta = 0
[methods.both]
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_stick_set(tmp_path / "data" / "sticks", train=6)
    lines = ['name = "base"\nrate_hz = 10.0\n[[datasets]]\npath = "sticks"\n']
    lines += ["[student]\nhidden = 8\nwidths = []\n[teacher]\nhidden = 8\nwidths = []\n[fit]\nepochs = 1\n"]
    lines += ["[validation]\nshare = 0.3\n"]
    (tmp_path / "base.toml").write_text("".join(lines))
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


def run(study: Path, *options: str) -> int:
    data, out = study.parent / "data", study.parent / "out"
    return main(["reproduce", str(study), str(out), "--data", str(data), *options])


def test_a_study_runs_on_a_set_of_ones_own_and_ends_with_its_tables(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(study, "--on", "mine=sticks", "--methods", "both") == 0
    said = capsys.readouterr().out
    assert "2/2 sticks, 100 % labelled, both, seed 0: AUC" in said
    assert "| mine | 100% | both | 1 |" in said
    assert "    inkling train reproduce study --data DATASETS --on mine=sticks --methods both\n" in said
    out = study.parent / "out"
    assert (out / "accuracy.png").exists()
    (out / "results.csv").unlink()
    assert run(study, "--on", "mine=sticks", "--tables-only") == 0
    assert (out / "results.csv").exists()
    assert "AUC 1" not in capsys.readouterr().out.split("| set |")[0], "nothing was fitted"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--seeds", "x"), "--labelled and --seeds are numbers"),
        (("--on", "mine="), "names no folder"),
        (("--sets", "none"), "has no set none"),
        ((), "no such file"),
    ],
)
def test_what_cannot_be_done_is_said(
    study: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], said: str
) -> None:
    assert run(study, *options) == 1
    assert said in capsys.readouterr().err
