"""The terminal while a film or a camera is played: the picture beside a row for each person in it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from inkling.service.annotate.overlay import colour_of
from inkling.service.cli.people_board import PeopleBoard, Row, named
from inkling.service.cli.screen import EIGHTHS, FRAME, Layout, heading

LINES_EACH = 2
EVENTS = 4
"""Lines of events below the people."""
MORE = 1
"""The line that says how many people are left out."""
_TRACK, _LABEL, _SHARE = 5, 15, 5


def people_view(board: PeopleBoard, bundle: str, name: str, picture: Text | None, layout: Layout) -> RenderableType:
    """The whole screen. picture: as wide as `layout.figure(board.size)`; None: there is none yet."""
    left = layout.figure(board.size if all(board.size) else (4, 3)) + FRAME
    lines, width = layout.rows + 2, layout.columns - left
    inner = width - FRAME
    people = max(1, (layout.rows - EVENTS - MORE - 1) // LINES_EACH)
    rows, more = board.shown(people)
    body = [text for row in rows for text in draw_row(row, board.now_s, inner)]
    if not rows:
        body.append(Text("nobody in view", style="grey62"))
    body += [Text("", no_wrap=True)] * (people * LINES_EACH - len(body))
    body.append(Text(f"and {more} more" if more else "", style="grey62"))
    body.append(Text("─" * inner, style="grey23"))
    body += [Text(line, style="grey70", no_wrap=True, overflow="ellipsis") for line in list(board.told)[-EVENTS:]]
    grid = Table.grid(padding=0)
    grid.add_row(
        Panel(picture or Text(), title=f"[bold]{named(name)}[/]", border_style="grey42", width=left, height=lines),
        Panel(Group(*body), title=f"[bold]{bundle}[/]", border_style="grey42", width=width, height=lines),
    )
    return Group(heading(), grid, _footer(board))


def draw_row(row: Row, now_s: float, width: int) -> Iterator[Text]:
    """A person in two lines: number, leading action, bar; then the second action, and since when the first leads."""
    red, green, blue = colour_of(row.track)
    colour = f"rgb({red},{green},{blue})"
    wide = _LABEL + len(row.ahead)
    room = max(width - _TRACK - wide - _SHARE - 2, 1)
    eighths = round(row.share * room * 8)
    bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
    first = Text(f"{f'#{row.track}':<{_TRACK}.{_TRACK}}", style=f"bold {colour}", no_wrap=True)
    first.append(f" {row.ahead + named(row.label):<{wide}.{wide}} ", style="bold white")
    first.append(bar, style=colour).append("─" * (room - len(bar)), style="grey23")
    yield first.append(f"{row.share:{_SHARE}.0%}", style="bold white")
    second = Text(" " * (_TRACK + 1), no_wrap=True, overflow="ellipsis", style="grey62")
    if row.active is not None:
        label, since_s = row.active
        second.append(f"▶ {row.ahead}{named(label)} {now_s - since_s:.1f} s", style=f"bold {colour}").append(" · ")
    else:
        second.append(f"for {now_s - row.since_s:.1f} s · ")
    yield second.append(f"{named(row.second)} {row.second_share:.0%}" if row.second else "")


def _footer(board: PeopleBoard) -> Text:
    latency = "-" if board.latency_s is None else f"{board.latency_s * 1000:.1f} ms"
    text = Text(" ")
    for value, about in (
        (f"{board.now_s:.1f} s", "played"),
        (f"{board.frames}", "frames"),
        (latency, "to the answer"),
    ):
        text.append(f"{value:>7} ", style="bold white").append(f"{about}   ", style="grey62")
    return text.append("   Ctrl-C ends", style="grey42")
