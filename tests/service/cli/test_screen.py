from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console

from inkling.service.cli.screen import Layout, Scene, draw_bars, draw_figure, draw_history, line, view
from inkling.service.demo.figure import pose

LABELS = ("idle", "jumping_jacks", "squat", "wave", "pullup", "situp", "golf_swing")


def scene(**given: object) -> Scene:
    body = pose("jumping_jacks", 0.4, height=430.0, centre=(230.0, 330.0))
    values: dict[str, object] = {
        "doing": "jumping_jacks",
        "keypoints": body,
        "probabilities": [0.05, 0.8, 0.04, 0.03, 0.03, 0.03, 0.02],
        "elapsed_s": 12.34,
        "latency_s": 0.0042,
        "frames": 370,
    }
    return Scene("body-actions 1", LABELS, **(values | given))  # type: ignore[arg-type]


def drawn(of: Scene, columns: int = 80, lines: int = 24) -> list[str]:
    console = Console(width=columns, height=lines, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(view(of, Layout.of(columns, lines)))
    return captured.get().splitlines()


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (120, 40), (200, 24), (200, 60)])
def test_the_picture_takes_the_width_of_the_terminal_and_fits_its_height(columns: int, lines: int) -> None:
    rows = drawn(scene(events=["one", "two", "three"], history=[0.1] * 300), columns, lines)
    assert len(rows) == lines - 3
    assert max(map(len, rows)) == columns
    assert "two" in "".join(rows)
    assert "three" in "".join(rows)


def test_a_larger_terminal_shows_a_larger_figure_and_more_labels() -> None:
    small, large = drawn(scene()), drawn(scene(), 160, 50)
    assert not any("golf swing" in row for row in small)  # the seventh best
    assert any("golf swing" in row for row in large)
    assert inked(large) > 2 * inked(small)


def inked(rows: list[str]) -> int:
    """Characters with a dot of the figure."""
    return sum("\u2800" < cell <= "\u28ff" for row in rows for cell in row)


def test_a_terminal_that_is_too_small_gets_the_smallest_picture() -> None:
    assert Layout.of(20, 5) == Layout.of(80, 24) == Layout()


def test_the_picture_names_the_leader_five_labels_time_and_latency() -> None:
    text = "\n".join(drawn(scene(events=["▶ jumping jacks begins"])))
    assert "jumping jacks  80%" in text
    for words in ("body-actions 1", "squat", "12.3 s", "4.2 ms", "370", "▶ jumping jacks begins"):
        assert words in text
    assert "golf swing" not in text  # the sixth and seventh best


def test_a_scene_before_the_first_answer_can_be_drawn() -> None:
    text = "\n".join(drawn(Scene("body-actions 1", LABELS)))
    assert "watching" in text


def test_bars_are_ordered_and_as_long_as_their_probability() -> None:
    bars = [bar.plain for bar in draw_bars(scene(probabilities=[0.0, 0.5, 0.0, 1.0, 0.0, 0.0, 0.25]), 41)]
    assert [bar.split()[0] for bar in bars[:3]] == ["wave", "jumping", "golf"]
    assert [bar.count("█") for bar in bars[:4]] == [20, 10, 5, 0]
    assert {len(bar) for bar in bars} == {41}
    assert bars[0].endswith("100%")


def test_history_keeps_the_latest_at_the_right() -> None:
    text = draw_history(scene(history=[1.0] * 50 + [0.0]), 10).plain
    assert text == "█" * 9 + "▁"
    assert draw_history(scene(history=[0.5]), 4).plain == "···▅"


def test_the_figure_stands_upright_with_its_head_on_top() -> None:
    rows = draw_figure(scene(keypoints=pose("idle", 0.0, height=430.0, centre=(230.0, 330.0))), 28, 17).plain.split(
        "\n"
    )
    assert len(rows) == 17
    assert {len(row) for row in rows} == {28}
    inked = [row for row in range(17) if rows[row].strip("⠀")]
    assert inked == list(range(inked[0], inked[-1] + 1))
    assert len(inked) >= 11


def test_missing_joints_and_those_outside_the_image_are_not_drawn() -> None:
    nobody = np.zeros((17, 3), np.float32)
    far = np.full((17, 3), 1e6, np.float32)
    for keypoints in (nobody, far, -far, None):
        assert not draw_figure(scene(keypoints=keypoints), 28, 17).plain.replace("\n", "").strip("⠀")


@pytest.mark.parametrize("label", ["idle", "squat"])
def test_the_plain_line_says_what_is_done_and_what_leads(label: str) -> None:
    shares = [0.9 if name == label else 0.01 for name in LABELS]
    text = line(scene(probabilities=shares))
    assert text.startswith("  12.3 s")
    assert f"jumping_jacks -> {label}" in text
    assert "90%" in text
    assert text.endswith("4 ms")


def test_what_comes_is_told_with_when() -> None:
    ahead = scene(ahead="in 0.5 s: ")
    assert any("in 0.5 s: jumping jacks  80%" in row for row in drawn(ahead))
    assert "-> in 0.5 s: jumping_jacks" in line(ahead)
