from __future__ import annotations

import io
import math

from rich.console import Console

from inkling.training.cli.progress import ProgressBar, shown_progress


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, highlight=False)


def text(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def shown(bar: ProgressBar) -> tuple[str, float, float | None]:
    (task,) = bar.bar.tasks
    return task.description, task.completed, task.total


def test_epochs_of_all_stages_are_one_bar() -> None:
    with shown_progress(console(True)) as bar:
        bar.begin(5)
        for done in (1, 2):
            bar.epoch("seed 0 teacher", done, 2, 0.5, math.nan)
        assert shown(bar) == ("seed 0 teacher, epoch 2/2", 2, 5)
        bar.epoch("seed 0 student", 1, 3, 0.5, 0.75)
        assert shown(bar) == ("seed 0 student, epoch 1/3, AUC 75.0", 3, 5)


def test_epochs_of_an_earlier_call_are_not_counted() -> None:
    with shown_progress(console(True)) as bar:
        bar.begin(14)
        bar.epoch("seed 0 teacher", 4, 4, 0.5, math.nan)  # three were done before
        assert shown(bar)[1:] == (1, 11)
        bar.epoch("seed 0 student", 1, 10, 0.5, math.nan)
        assert shown(bar)[1:] == (2, 11)


def test_videos_come_first_on_the_same_bar() -> None:
    with shown_progress(console(True)) as bar:
        bar.video_done(3, 8, "a.mp4: broken")
        assert shown(bar) == ("videos", 3, 8)
        bar.begin(2)
        bar.epoch("seed 0 student", 1, 2, 0.5, math.nan)
        assert shown(bar)[1:] == (1, 2)


def test_a_terminal_shows_epochs_on_the_bar_and_other_lines_above() -> None:
    terminal = console(True)
    with shown_progress(terminal) as bar:
        bar.begin(2)
        bar.report("seed-0 student: epoch 1/2  loss 1")
        bar.report("seed 0: [12] clips")
    assert "seed 0: [12] clips" in text(terminal)
    assert "loss 1" not in text(terminal)


def test_without_a_terminal_there_are_lines_alone() -> None:
    plain = console(False)
    with shown_progress(plain) as bar:
        bar.begin(2)
        bar.epoch("seed 0 student", 1, 2, 0.5, math.nan)
        bar.video_done(1, 2, "")
        bar.report("seed-0 student: epoch 1/2  loss 1")
    assert text(plain) == "seed-0 student: epoch 1/2  loss 1\n"
