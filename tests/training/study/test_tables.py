from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from inkling.training.study.runner import CellOutcome
from inkling.training.study.study import Study
from inkling.training.study.tables import figure, markdown, spreadsheet, tabulate, write_tables
from tests.training.study.test_study import study

STUDY = study(labelled=[1.0], seeds=[0, 1, 2], about="What it is about.")


def outcome(split: str, method: str, seed: int, auc: float) -> CellOutcome:
    return CellOutcome(
        set="sticks", split=split, labelled=1.0, method=method, seed=seed, recipe="r", data="d",
        accuracy=(auc,) * 10, auc=auc, validation_auc=None, teacher_accuracy=0.9 if method == "both" else None,
        train_clips=20, labelled_clips=20, test_clips=10, seconds=1.0, created="", git_commit="",
    )  # fmt: skip


def some(study: Study = STUDY) -> list[CellOutcome]:
    """`both` is 0.04 better than the baseline on the first split, 0.02 on the second, whatever the seed."""
    return [
        outcome(split, method, seed, 0.5 + 0.1 * seed + gain * (method == "both"))
        for seed in study.seeds
        for split, gain in (("one", 0.04), ("two", 0.02))
        for method in study.methods
    ]


def test_a_seed_counts_with_the_mean_of_its_splits() -> None:
    both = next(row for row in tabulate(STUDY, some()).rows if row.split is None and row.method == "both")
    assert both.auc.n == 3
    assert both.auc.mean == pytest.approx(0.63)
    assert both.auc.sd == pytest.approx(0.1)
    assert both.gain is not None
    assert both.gain.mean == pytest.approx(0.03)
    assert both.gain.high == pytest.approx(0.03), "what is always the same difference is certain, however seeds vary"
    assert both.teacher_accuracy == pytest.approx(0.9)


def test_each_split_has_rows_of_its_own() -> None:
    gains = {row.split: row.gain.mean for row in tabulate(STUDY, some()).rows if row.gain}
    assert gains == {None: pytest.approx(0.03), "one": pytest.approx(0.04), "two": pytest.approx(0.02)}


def test_a_seed_that_lacks_a_split_does_not_count_for_the_set() -> None:
    rows = tabulate(STUDY, [o for o in some() if (o.split, o.seed) != ("two", 2)]).rows
    assert {row.auc.n for row in rows if row.split is None} == {2}
    assert {row.auc.n for row in rows if row.split == "one"} == {3}


def test_the_table_says_what_its_figures_are_and_what_is_missing() -> None:
    tables = tabulate(STUDY, some()[:-1], "inkling train reproduce tiny-study")
    text = markdown(tables, STUDY)
    assert "11 of 12 fits" in text
    assert "    inkling train reproduce tiny-study" in text
    assert "less that of\n`baseline`" in text
    assert "| sticks | 100% | both | 2 | 58.0 ± 7.1 |" in text
    assert "+3.0 (+3.0 to +3.0)" in text


def test_the_spreadsheet_has_every_ratio() -> None:
    rows = list(csv.DictReader(io.StringIO(spreadsheet(tabulate(STUDY, some())))))
    assert len(rows) == 6
    both = next(row for row in rows if (row["split"], row["method"]) == ("all", "both"))
    assert float(both["accuracy_70_mean"]) == pytest.approx(0.63)
    assert float(both["auc_gain"]) == pytest.approx(0.03)
    assert next(row for row in rows if row["method"] == "baseline")["auc_gain"] == ""


def test_the_figure_has_a_panel_for_each_set_and_share_with_a_band_for_each_method() -> None:
    axes = figure(tabulate(STUDY, some()), STUDY).axes
    assert len(axes) == 1
    assert len(axes[0].lines) == len(axes[0].collections) == 2
    unfinished = [o for o in some() if o.split == "one"]
    assert [a.get_title() for a in figure(tabulate(STUDY, unfinished), STUDY).axes] == ["one, 100% labelled"]


def test_tables_can_be_written_at_any_time(tmp_path: Path) -> None:
    for found in ([], some()[:1], some()):
        write_tables(STUDY, found, tmp_path)
        assert json.loads((tmp_path / "results.json").read_text())["done"] == len(found)
        assert {path.name for path in tmp_path.iterdir()} == {
            "results.md",
            "results.csv",
            "results.json",
            "accuracy.png",
        }
