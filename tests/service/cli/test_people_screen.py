from __future__ import annotations

import pytest
from rich.console import Console

from inkling.service.cli.film import draw_picture
from inkling.service.cli.people_board import PeopleBoard
from inkling.service.cli.people_screen import people_view
from inkling.service.cli.screen import Layout
from tests.service.annotate.test_film_record import happened, said, seen
from tests.service.cli.test_people_board import board_of
from tests.support import picture


def drawn(board: PeopleBoard, size: tuple[int, int], columns: int = 80, lines: int = 24) -> list[str]:
    layout = Layout.of(columns, lines)
    board.size = size
    shown = draw_picture(picture(size[1], size[0]), layout.figure(size), layout.rows, board.bodies)
    console = Console(width=columns, height=lines, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(people_view(board, "body-actions 5", "the_hall", shown, layout))
    return captured.get().splitlines()


@pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (244, 432), (8192, 64), (16, 16)])
@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("people", [0, 3, 200])
def test_a_film_of_any_shape_with_any_number_of_people_fits(
    size: tuple[int, int], columns: int, lines: int, people: int
) -> None:
    board = board_of(people)
    board.saw(seen(1.0, {track: 3.0 * track for track in range(1, people + 1)}))
    for count in range(9):
        board.event(happened(1.0 + count, 1, "a_label_that_is_longer_than_there_is_room_for" * 3, "begin"))
    rows = drawn(board, size, columns, lines)
    assert len(rows) == lines - 3
    assert max(map(len, rows)) <= columns


def test_each_person_has_a_row_and_those_without_room_are_counted() -> None:
    board = board_of(40)
    board.event(happened(0.4, 2, "fall", "begin"))
    text = "\n".join(drawn(board, (640, 480)))
    for words in ("the hall", "body-actions 5", "#2 ", "jump", "60%", "wave 30%", "▶ fall 0.6 s", "and 35 more"):
        assert words in text
    assert "#3 " not in text


def test_a_longer_bar_is_a_surer_one_and_nobody_is_said() -> None:
    board = PeopleBoard(("a", "b", "c", "d"))
    assert "nobody in view" in "\n".join(drawn(board, (640, 480)))
    board.predicted(said(1.0, 1, 0.9, 0.1, 0.0, 0.0))
    board.predicted(said(1.0, 2, 0.4, 0.3, 0.3, 0.0))
    sure, unsure = (row for row in drawn(board, (640, 480)) if "#1 " in row or "#2 " in row)
    assert sure.count("█") > unsure.count("█") > 0


def test_what_comes_is_shown_with_when_whole() -> None:
    board = board_of(0)
    board.predicted(said(1.0, 1, 0.1, 0.2, 0.1, 0.6).model_copy(update={"for_s": 1.5}))
    board.event(happened(1.0, 1, "fall", "begin").model_copy(update={"begins_in_s": 0.5}))
    text = "\n".join(drawn(board, (640, 480)))
    for words in ("in 0.5 s: fall", "▶ in 0.5 s: fall 0.0 s", "#1 fall begins in 0.5 s"):
        assert words in text
    assert "60%" in text
