"""How a frame goes through the service and what comes back: `docs/pictures/flow.svg`."""

from __future__ import annotations

from itertools import pairwise

from tests.pictures import svg

WIDTH, HEIGHT = 1000, 470
ROOM_WIDTH, ROOM_HEIGHT = 128, 66
BLUE, GREEN = "#e8f1fa", "#e9f5ee"


def room(x: float, y: float, name: str, words: str, fill: str = BLUE) -> list[str]:
    parts = [svg.box(x, y, ROOM_WIDTH, ROOM_HEIGHT, fill)]
    parts.append(svg.text(x + ROOM_WIDTH / 2, y + 24, name, 15, anchor="middle", weight="bold"))
    for number, part in enumerate(words.split("|")):
        parts.append(svg.text(x + ROOM_WIDTH / 2, y + 42 + 15 * number, part, 11.5, "#444", "middle"))
    return parts


def draw() -> str:
    columns = [170 + 165 * number for number in range(5)]
    top, bottom, middle = 90, 290, 190
    parts = [svg.arrow_head(), svg.box(150, 40, 830, 350, "#fafafa", "#bbb")]
    parts.append(svg.text(162, 62, "the server", 13, "#555"))
    parts.append(svg.text(12, 80, "one frame in", 13, "#555"))
    parts += [*room(10, top, "client", "camera, robot,|browser", "#fff")]
    for x, (name, words) in zip(
        columns,
        (
            ("websocket", "bytes, slow|and lost clients"),
            ("protocol", "messages are|read and checked"),
            ("streams", "clock, tracks,|credits"),
            ("inputs", "decode image,|map joints"),
            ("engine", "batch of all|streams, one step"),
        ),
        strict=True,
    ):
        parts += room(x, top, name, words, GREEN if name == "engine" else BLUE)
    for x, (name, words) in zip(
        columns,
        (
            ("websocket", "written once|a turn"),
            ("protocol", "prediction,|event, decision"),
            ("streams", "events, early|decisions, order"),
            ("", ""),
            ("engine", "logits become|probabilities"),
        ),
        strict=True,
    ):
        if name:
            parts += room(x, bottom, name, words, GREEN if name == "engine" else BLUE)
    half = ROOM_HEIGHT / 2
    parts.append(svg.line([(10 + ROOM_WIDTH, top + half), (columns[0], top + half)], arrow=True))
    for x, following in pairwise(columns):
        parts.append(svg.line([(x + ROOM_WIDTH, top + half), (following, top + half)], arrow=True))
    last = columns[-1] + ROOM_WIDTH / 2
    parts.append(svg.line([(last, top + ROOM_HEIGHT), (last, bottom)], arrow=True))
    parts.append(svg.text(last - 8, middle + 20, "state pool:", 12, "#444", "end"))
    parts.append(svg.text(last - 8, middle + 36, "one row a person", 12, "#444", "end"))
    parts.append(svg.text(last - 8, middle + 52, "for each model", 12, "#444", "end"))
    seen = columns[3] - 34
    parts += room(seen, middle - 2, "perception", "finds people, says|who is who", GREEN)
    under, beside = top + ROOM_HEIGHT, columns[2] + ROOM_WIDTH / 2
    parts.append(svg.line([(seen + ROOM_WIDTH / 2, under), (seen + ROOM_WIDTH / 2, middle - 2)], arrow=True))
    parts.append(svg.line([(seen, middle - 2 + half), (beside, middle - 2 + half), (beside, under)], arrow=True))
    parts.append(svg.text(beside - 8, middle + 20, "people of images", 12, "#444", "end"))
    parts.append(svg.line([(columns[4], bottom + half), (columns[2] + ROOM_WIDTH, bottom + half)], arrow=True))
    for x, following in ((columns[2], columns[1]), (columns[1], columns[0])):
        parts.append(svg.line([(x, bottom + half), (following + ROOM_WIDTH, bottom + half)], arrow=True))
    parts.append(svg.line([(columns[0], bottom + half), (74, bottom + half), (74, top + ROOM_HEIGHT)], arrow=True))
    parts.append(svg.text(82, 250, "answers", 12, "#444"))
    other = (
        (columns[1], "http, clips: a whole clip is fed through the same streams"),
        (columns[1], "sources: cameras that the server fetches are streams of its own"),
    )
    for number, (x, words) in enumerate(other):
        parts.append(svg.text(x, 412 + 22 * number, words, 13))
        parts.append(svg.line([(x - 12, 408 + 22 * number), (x - 4, 408 + 22 * number)], "#444", 3))
    return svg.document(WIDTH, HEIGHT, "The way of a frame through the service, and of its answer back", parts)
