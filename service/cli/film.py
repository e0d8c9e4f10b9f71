"""A film in a terminal: half blocks, two pixels to a character, and the stream that it is played into."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import pairwise

import cv2
import numpy as np
from rich.color import Color
from rich.console import Console, RenderableType
from rich.live import Live
from rich.style import Style
from rich.text import Text

from inkling.models.resize import Turn
from inkling.service.annotate.figure import COCO17, Figure
from inkling.service.annotate.film_record import Body
from inkling.service.annotate.overlay import colour_of, draw_skeleton
from inkling.service.cli.live import DRAW_EVERY_S
from inkling.service.cli.people_board import PeopleBoard
from inkling.service.cli.people_screen import people_view
from inkling.service.cli.play import play_video
from inkling.service.cli.screen import Layout
from inkling.service.client.blocking import Stream
from inkling.service.client.capture import Capture
from inkling.service.protocol.image_binary import Pixels
from inkling.service.protocol.track_id import TrackId

_SHADES = 6
"""Levels of each colour are rounded to so many grey levels: neighbours merge into one span, and terminals keep up."""


def draw_picture(
    image: Pixels, columns: int, rows: int, bodies: Mapping[TrackId, Body] | None = None, figure: Figure = COCO17
) -> Text:
    """RGB (height, width, 3) as large as fits into `columns` x `rows` characters, in the middle.

    bodies: who is in it, in its pixels; drawn over it. figure: what their keypoints are.
    """
    height, width = image.shape[:2]
    scale = min(columns / width, 2 * rows / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    for track, body in (bodies or {}).items():
        joints = body.keypoints * np.array([size[0] / width, size[1] / height, 1], np.float32)
        draw_skeleton(small, Body(body.box, joints), figure, colour_of(track), 1, rim=False)
    small = small // _SHADES * _SHADES
    canvas = np.zeros((2 * rows, columns, 3), np.uint8)
    top, left = (2 * rows - size[1]) // 2, (columns - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = small
    text = Text(no_wrap=True)
    for row in range(rows):
        upper, lower = canvas[2 * row], canvas[2 * row + 1]
        change = np.any((np.diff(upper, axis=0) != 0) | (np.diff(lower, axis=0) != 0), axis=1)
        edges = [0, *(np.flatnonzero(change) + 1).tolist(), columns]
        for begin, end in pairwise(edges):
            style = Style(color=_colour(upper[begin]), bgcolor=_colour(lower[begin]))
            text.append("▀" * (end - begin), style=style)
        if row < rows - 1:
            text.append("\n")
    return text


def show_video(
    stream: Stream,
    board: PeopleBoard,
    capture: Capture,
    name: str,
    console: Console,
    *,
    fast: bool = False,
    seconds: float | None = None,
    rotate: Turn = 0,
) -> None:
    """Play a film on a terminal, its picture beside a row for each person in it.

    board: what the stream's callbacks are methods of.
    """
    board.labels, board.figure = stream.labels, Figure.of(stream.skeleton)
    board.unknown_above = stream.ready.unknown_above
    bundle = f"{stream.ready.bundle} {stream.ready.version}"
    latest: list[Pixels] = []

    def drawn() -> RenderableType:
        layout = Layout.of(console.width, console.height)
        picture = None
        if latest:  # before the first picture nobody knows its shape
            columns = layout.figure(board.size)
            picture = draw_picture(latest[0], columns, layout.rows, board.bodies, board.figure)
        return people_view(board, bundle, name, picture, layout)

    drawn_s = 0.0
    with Live(drawn(), console=console, auto_refresh=False) as live:

        def draw() -> None:
            nonlocal drawn_s
            if time.monotonic() - drawn_s >= DRAW_EVERY_S:
                drawn_s = time.monotonic()
                live.update(drawn(), refresh=True)

        def seen(pts_s: float, image: Pixels) -> None:
            board.now_s, board.size = pts_s, (image.shape[1], image.shape[0])
            board.frames += 1
            latest[:] = [image]
            draw()  # where nobody is in view there are no predictions

        for prediction in play_video(stream, capture, fast=fast, seconds=seconds, rotate=rotate, shown=seen):
            board.predicted(prediction)
            board.latency_s = stream.latency_s
            draw()
        live.update(drawn(), refresh=True)


def _colour(rgb: Pixels) -> Color:
    red, green, blue = rgb.tolist()
    return Color.from_rgb(red, green, blue)
