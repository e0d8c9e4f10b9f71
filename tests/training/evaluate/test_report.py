from __future__ import annotations

import csv
from pathlib import Path

import pytest

from inkling.training.evaluate.evaluation import Evaluation, evaluate_run
from inkling.training.evaluate.report import table, write_report
from inkling.training.run import Run


@pytest.fixture(scope="module")
def evaluation(finished: tuple[Run, Path]) -> Evaluation:
    run, data = finished
    return evaluate_run(run, data)


def test_the_table_has_a_line_for_every_set_condition_and_kind_of_answer(evaluation: Evaluation) -> None:
    lines = table(evaluation).splitlines()
    assert len(lines) == 2 + 6 * 2
    cells = [cell.strip() for cell in lines[2].strip("|").split("|")]
    scores = evaluation.sets["sticks"].conditions["clean"].joint
    assert cells[:4] == ["sticks", "12", "clean", "all 3"]
    assert cells[4:] == [f"{100 * share:.1f}" for share in (scores.auc, *scores.accuracy)]
    assert len({line.count("|") for line in lines}) == 1


def test_a_report_is_a_table_json_plots_and_confusions(evaluation: Evaluation, tmp_path: Path) -> None:
    out = write_report(evaluation, tmp_path / "new" / "report")
    assert Evaluation.model_validate_json((out / "evaluation.json").read_text()) == evaluation
    assert table(evaluation) in (out / "evaluation.md").read_text()
    for picture in ("accuracy.png", "confusion-sticks.png"):
        data = (out / picture).read_bytes()
        assert data.startswith(b"\x89PNG")
        assert len(data) > 5000
    with (out / "confusion-sticks.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0][1:] == list(evaluation.labels)
    assert [[int(cell) for cell in row[1:]] for row in rows[1:]] == [
        list(row) for row in evaluation.sets["sticks"].confusion
    ]
