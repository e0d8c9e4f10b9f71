from __future__ import annotations

from pathlib import Path

import pytest

from inkling.training.errors import SHOWN_PROBLEMS, DataError, Problem


def test_a_problem_names_file_and_row() -> None:
    assert str(Problem(Path("a/clips.csv"), 7, "no such file")) == "a/clips.csv:7: no such file"


def test_a_problem_of_a_whole_file_names_no_row() -> None:
    assert str(Problem(Path("a/dataset.toml"), None, "no fps")) == "a/dataset.toml: no fps"


def test_an_error_shows_the_first_problems_and_counts_the_rest() -> None:
    problems = [Problem(Path("clips.csv"), row, "bad") for row in range(2, 2 + SHOWN_PROBLEMS + 3)]
    lines = str(DataError(problems)).splitlines()
    assert lines[:2] == ["clips.csv:2: bad", "clips.csv:3: bad"]
    assert len(lines) == SHOWN_PROBLEMS + 1
    assert lines[-1] == "and 3 more problems"
    assert DataError(problems).problems == tuple(problems)


def test_an_error_without_a_problem_is_a_defect() -> None:
    with pytest.raises(ValueError, match="at least one"):
        DataError([])
