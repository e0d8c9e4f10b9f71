"""The demo's terminal: who moves, what the server takes it for, and how fast; pure, `show` says when to draw.

It fills the terminal, from 80 x 24 up: a taller one shows a larger figure and more labels, a wider one longer bars.
Every cell of the figure is a Braille character, so 30 x 17 cells are 60 x 68 dots.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.align import Align
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

LEFT, RIGHT, MIDDLE = "bright_cyan", "bright_magenta", "white"
LIMBS: tuple[tuple[int, int, str], ...] = (
    (5, 6, MIDDLE),
    (11, 12, MIDDLE),
    (5, 11, MIDDLE),
    (6, 12, MIDDLE),
    (6, 8, RIGHT),
    (8, 10, RIGHT),
    (12, 14, RIGHT),
    (14, 16, RIGHT),
    (5, 7, LEFT),
    (7, 9, LEFT),
    (11, 13, LEFT),
    (13, 15, LEFT),
)
"""Of COCO-17; later ones are drawn over earlier ones."""

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bits of a Braille character by row and column."""

EIGHTHS = " ▏▎▍▌▋▊▉█"
LEVELS = "▁▂▃▄▅▆▇█"
ROWS = 5
"""Labels on the smallest screen."""
COLUMNS, LINES = 80, 24
"""The smallest screen; on a smaller one the picture is cut off."""
AROUND = 5
"""Lines of a terminal that are not the two panels: heading, footer, and room for the shell's prompt."""
FRAME = 4
"""Columns of a panel that are not its content."""


@dataclass
class Scene:
    """What is to be seen. image: width and height that `keypoints` (17, 3) are pixels of."""

    bundle: str
    labels: Sequence[str]
    image: tuple[int, int] = (460, 560)
    doing: str = ""
    """What the figure does; its label is marked when it leads."""
    keypoints: NDArray[np.float32] | None = None
    probabilities: Sequence[float] = ()
    ahead: str = ""
    """Said before a label that is not of the moment: `in 0.5 s: `."""
    elapsed_s: float = 0.0
    latency_s: float | None = None
    frames: int = 0
    events: list[str] = field(default_factory=list)
    printed: int = 0
    """Of the events, where the output is lines."""
    history: list[float] = field(default_factory=list)
    """Probability of `doing`; one value a prediction, oldest first."""

    def ranking(self, count: int = ROWS) -> list[tuple[str, float]]:
        """The most probable labels, best first."""
        best = np.argsort(-np.asarray(self.probabilities), kind="stable")[:count]
        return [(self.labels[i], float(self.probabilities[i])) for i in best]


def line(scene: Scene) -> str:
    """The scene for a terminal that cannot be drawn on."""
    latency = "" if scene.latency_s is None else f"  {scene.latency_s * 1000:.0f} ms"
    rest = ", ".join(f"{label} {share:.0%}" for label, share in scene.ranking(3)[1:])
    label, share = next(iter(scene.ranking(1)), ("-", 0.0))
    label = scene.ahead + label
    return f"{scene.elapsed_s:6.1f} s  {scene.doing:>14} -> {label:<16} {share:4.0%}  ({rest}){latency}"


@dataclass(frozen=True)
class Layout:
    """Where things are on a terminal of `columns` x `lines` characters (at least 80 x 24)."""

    columns: int = COLUMNS
    lines: int = LINES

    @classmethod
    def of(cls, columns: int, lines: int) -> Layout:
        """The layout for a terminal of that size."""
        return cls(max(columns, COLUMNS), max(lines, LINES))

    @property
    def rows(self) -> int:
        """Lines within a panel."""
        return self.lines - AROUND - 2

    @property
    def labels(self) -> int:
        """Bars that there is room for; each takes two lines."""
        return ROWS + (self.lines - LINES) // 2

    def figure(self, image: tuple[int, int]) -> int:
        """Columns on which an image of that width and height is drawn: as many as its height leaves it."""
        width, height = image
        return min(round(self.rows * 2 * width / height), self.columns * 9 // 20 - FRAME)


def view(scene: Scene, layout: Layout = Layout()) -> RenderableType:
    """The whole picture: a heading, the figure beside the bars, a footer."""
    inner = layout.figure(scene.image)
    left, lines = inner + FRAME, layout.rows + 2
    right = layout.columns - left - FRAME - 2
    figure = Panel(
        draw_figure(scene, inner, layout.rows),
        title=f"[bold]{scene.doing.replace('_', ' ')}[/]",
        border_style="grey42",
        width=left,
        height=lines,
    )
    leads = scene.ranking(1)
    verdict = Text("watching …", style="grey62")
    if leads:
        said = scene.ahead + leads[0][0].replace("_", " ")
        verdict = Text(said, style=f"bold {_colour(scene, leads[0][0], True)}")
        verdict.append(f"  {leads[0][1]:.0%}", style="bold white")
    body = Group(
        Align.center(verdict),
        Text(),
        *_spaced(draw_bars(scene, right, layout.labels)),
        Text("certainty over time", style="grey50"),
        draw_history(scene, right),
        Text(),
        *(Text(event, style="grey70", no_wrap=True, overflow="ellipsis") for event in scene.events[-2:]),
    )
    bars = Panel(
        Padding(body, (0, 1)),
        title=f"[bold]{scene.bundle}[/]",
        border_style="grey42",
        width=layout.columns - left,
        height=lines,
    )
    grid = Table.grid(padding=0)
    grid.add_row(figure, bars)
    return Group(heading(), grid, _footer(scene))


def draw_bars(scene: Scene, width: int, count: int = ROWS) -> Iterator[Text]:
    """A line a label: name, bar, per cent."""
    ranking = scene.ranking(count) or [("", 0.0)] * count
    room = width - 16 - 5
    for place, (label, share) in enumerate(ranking):
        eighths = round(share * room * 8)
        bar = "█" * (eighths // 8) + (EIGHTHS[eighths % 8].strip())
        style = _colour(scene, label, place == 0)
        text = Text(f"{label.replace('_', ' '):<15.15} ", style="bold white" if place == 0 else "grey62", no_wrap=True)
        text.append(bar, style=style).append("─" * (room - len(bar)), style="grey23")
        yield text.append(f"{share:5.0%}" if label else "     ", style="bold white" if place == 0 else "grey62")


def draw_history(scene: Scene, width: int) -> Text:
    """Certainty of what the figure does, the latest at the right."""
    recent = scene.history[-width:]
    text = Text("".join(LEVELS[min(int(share * len(LEVELS)), len(LEVELS) - 1)] for share in recent), style="green")
    return Text("·" * (width - len(recent)), style="grey23").append(text)


def draw_figure(scene: Scene, columns: int, rows: int) -> Text:
    """The body in Braille, scaled so that the whole image fits into `columns` x `rows` characters."""
    codes = np.zeros((rows, columns), dtype=int)
    colours = np.full((rows, columns), MIDDLE, dtype=object)
    if scene.keypoints is not None:
        width, height = scene.image
        scale = min(columns * 2 / width, rows * 4 / height)
        shift = np.array([columns * 2 - width * scale, rows * 4 - height * scale]) / 2
        points = scene.keypoints[:, :2] * scale + shift
        seen = scene.keypoints[:, 2] > 0
        for start, end, colour in LIMBS:
            if seen[start] and seen[end]:
                _plot(codes, colours, np.linspace(points[start], points[end], 64), colour)
        if seen[3] and seen[4]:
            neck = (points[5] + points[6]) / 2
            centre = (points[3] + points[4]) / 2
            turn = np.linspace(0, 2 * np.pi, 64)[:, None]
            _plot(codes, colours, np.linspace((centre + neck) / 2, neck, 16), MIDDLE)
            radius = 0.5 * np.linalg.norm(centre - neck)
            _plot(codes, colours, centre + radius * np.hstack((np.cos(turn), np.sin(turn))), MIDDLE)
    text = Text(no_wrap=True)
    for row in range(rows):
        for colour, run in groupby(zip(codes[row], colours[row], strict=True), key=lambda cell: str(cell[1])):
            text.append("".join(chr(0x2800 + int(code)) for code, _ in run), style=f"bold {colour}")
        text.append("\n" if row < rows - 1 else "")
    return text


def _plot(codes: NDArray[np.int_], colours: NDArray[np.object_], points: NDArray[np.floating], colour: str) -> None:
    dots = np.floor(points).astype(int)
    rows, columns = codes.shape
    inside = (dots >= 0).all(axis=1) & (dots[:, 0] < columns * 2) & (dots[:, 1] < rows * 4)
    for x, y in dots[inside]:
        codes[y // 4, x // 2] |= DOTS[y % 4, x % 2]
        colours[y // 4, x // 2] = colour


def _spaced(lines: Iterable[Text]) -> Iterator[Text]:
    for text in lines:
        yield text
        yield Text()


def _colour(scene: Scene, label: str, leads: bool) -> str:
    if not leads:
        return "grey50"
    return "green3" if label == scene.doing else "gold3"


def heading() -> Text:
    """The first line of every screen."""
    text = Text(" inkling", style="bold bright_cyan")
    return text.append("  what is under way, before it is over", style="grey62")


def _footer(scene: Scene) -> Text:
    latency = "-" if scene.latency_s is None else f"{scene.latency_s * 1000:.1f} ms"
    parts = ((f"{scene.elapsed_s:.1f} s", "elapsed"), (f"{scene.frames}", "frames"), (latency, "to the answer"))
    text = Text(" ")
    for value, name in parts:
        text.append(f"{value:>7} ", style="bold white").append(f"{name}   ", style="grey62")
    return text.append("   Ctrl-C ends", style="grey42")
