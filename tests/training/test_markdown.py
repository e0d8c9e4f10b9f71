from __future__ import annotations

from inkling.training.markdown import table


def test_a_table_has_a_head_a_line_and_a_row_a_line() -> None:
    assert table(("a", "b"), [("1", ""), ("2", "x")]) == "| a | b |\n|---|---|\n| 1 |  |\n| 2 | x |"


def test_columns_can_be_set_to_the_right() -> None:
    assert table(("what", "ms", "aim"), [("answer", "3", "4")], right=(1, 2)).splitlines()[1] == "|---|---:|---:|"


def test_a_table_without_rows_is_its_head() -> None:
    assert table(("a",), []) == "| a |\n|---|"
