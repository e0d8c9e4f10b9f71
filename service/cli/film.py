"""A film in a terminal: half blocks, two pixels to a character, and the stream that it is played into."""

from __future__ import annotations

import time
from itertools import pairwise

import cv2
import numpy as np
from rich.color import Color
from rich.console import Console
from rich.live import Live
from rich.style import Style
from rich.text import Text

from inkling.service.cli import screen
from inkling.service.cli.live import DRAW_EVERY_S, PLAIN_EVERY_S, Feed, drawn, print_lines
from inkling.service.cli.play import play_video
from inkling.service.client.blocking import Stream
from inkling.service.client.capture import Capture
from inkling.service.protocol.image_binary import Pixels

_SHADES = 6
"""Levels of each colour are rounded to so many grey levels: neighbours merge into one span, and terminals keep up."""


def draw_picture(image: Pixels, columns: int, rows: int) -> Text:
    """RGB (height, width, 3) as large as fits into `columns` x `rows` characters, in the middle."""
    height, width = image.shape[:2]
    scale = min(columns / width, 2 * rows / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) // _SHADES * _SHADES
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
    feed: Feed,
    capture: Capture,
    name: str,
    console: Console,
    *,
    plain: bool,
    fast: bool = False,
    seconds: float | None = None,
) -> None:
    """Play a film beside what the server makes of it: a picture on a terminal, otherwise lines."""
    scene = feed.scene
    scene.bundle, scene.labels, scene.doing = f"{stream.ready.bundle} {stream.ready.version}", stream.labels, name
    plain = plain or not console.is_terminal
    drawn_s = 0.0

    def seen(pts_s: float, image: Pixels) -> None:
        scene.elapsed_s = pts_s
        scene.frames += 1
        if not plain:
            layout = screen.Layout.of(console.width, console.height)
            scene.image = (image.shape[1], image.shape[0])
            scene.picture = draw_picture(image, layout.figure(scene.image), layout.rows)

    predictions = play_video(stream, capture, fast=fast, seconds=seconds, shown=seen)
    if plain:
        for prediction in predictions:
            feed.film(prediction, stream.latency_s)
            if prediction.pts_s - drawn_s >= PLAIN_EVERY_S:
                drawn_s = prediction.pts_s
                print_lines(console, scene)
        return
    with Live(drawn(scene, console), console=console, auto_refresh=False) as live:
        for prediction in predictions:
            feed.film(prediction, stream.latency_s)
            if time.monotonic() - drawn_s >= DRAW_EVERY_S:
                drawn_s = time.monotonic()
                live.update(drawn(scene, console), refresh=True)
        live.update(drawn(scene, console), refresh=True)


def _colour(rgb: Pixels) -> Color:
    red, green, blue = rgb.tolist()
    return Color.from_rgb(red, green, blue)
