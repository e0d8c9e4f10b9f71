"""How far a command is: a bar with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from inkling.training.progress import RunProgress

MOST_THREADS = 4
"""More threads only wait for each other in networks this small."""


def limit_threads() -> None:
    """Have torch use no more threads than help."""
    import torch

    torch.set_num_threads(min(MOST_THREADS, torch.get_num_threads()))


@contextmanager
def shown_progress(console: Console) -> Iterator[ProgressBar]:
    """A bar while something runs; hidden where there is no terminal."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TimeRemainingColumn(compact=True), TextColumn("left"),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        yield ProgressBar(bar)


class ProgressBar:
    """One bar for whatever is under way: videos that are decoded, then the epochs of all seeds and stages of a run."""

    def __init__(self, bar: Progress) -> None:
        self.bar = bar
        self.task: TaskID | None = None
        self.stage = ""
        self.total = self.done_before = self.in_stage = 0

    @property
    def of_run(self) -> RunProgress:
        """To be handed to `fit`."""
        return self

    def video_done(self, done: int, total: int, said: str) -> None:
        """A `VideoDone`: `done` of `total` videos are decoded; what there is to say of the last one goes above."""
        self._show("videos", done, total)
        if said:
            self.report(said)

    def begin(self, epochs: int) -> None:
        """As `RunProgress.begin`."""
        self._close()
        self.total = epochs

    def epoch(self, stage: str, done: int, total: int, loss: float, auc: float) -> None:
        """As `FitProgress.epoch`."""
        if stage != self.stage:
            self.done_before += self.in_stage
            self.stage, before = stage, done - 1
            self.total -= before  # it goes on: epochs of an earlier call say nothing about the time left
            self.done_before -= before
        self.in_stage = done
        validated = "" if math.isnan(auc) else f", AUC {100 * auc:.1f}"
        self._show(f"{stage}, epoch {done}/{total}{validated}", self.done_before + done, self.total)

    def report(self, line: str) -> None:
        """A line above the bar. Lines about epochs are left out where the bar shows them."""
        if not (self.bar.console.is_terminal and ": epoch " in line):
            self.bar.console.print(line, markup=False)

    def _show(self, description: str, done: int, total: int) -> None:
        if self.task is None:
            self.task = self.bar.add_task(description, total=total)
        self.bar.update(self.task, description=description, completed=done, total=total)

    def _close(self) -> None:
        if self.task is not None:
            self.bar.remove_task(self.task)
            self.task = None
