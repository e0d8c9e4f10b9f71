"""What is drawn over one picture of a film: skeletons, boxes, bars of the leading actions, events. Pure.

Sizes follow the picture, so that 320 x 240 and 3840 x 2160 read alike. Colours tell tracks apart and are those of Okabe
and Ito, which people with any kind of colour blindness can tell apart; the track's number is written beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.service.annotate.figure import COCO17, Figure
from inkling.service.annotate.film_record import Body, PersonNow
from inkling.service.annotate.lettering import lettering, write
from inkling.service.client.wording import happening
from inkling.service.protocol.codec import Event
from inkling.service.protocol.track_id import TrackId

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (204, 121, 167),
    (0, 114, 178),
)
"""RGB, by Okabe and Ito (2008)."""
SURE = 0.1
"""Joints of less confidence are not drawn: they are mostly guesses."""
DARK, LIGHT = (16, 16, 16), (245, 245, 245)
BARS = 3
"""Leading actions of each person, where there is room."""
EVENTS_S = 4.0
"""For which an event is shown."""
MOST_EVENTS = 4
HIDES = 20
"""How many pixels of a body are worth one of a panel."""
STAYS = 0.5
"""A panel stays in its place as long as it hides no more than this share of itself in addition."""

Places = dict[TrackId, int]
"""Which of its possible places each track's panel has."""


@dataclass(frozen=True, slots=True)
class Style:
    """What is drawn. black: on black in place of the picture. blur: faces are made unrecognisable.

    figure: what the keypoints are.
    """

    skeletons: bool = True
    black: bool = False
    blur: bool = False
    figure: Figure = COCO17


def colour_of(track: TrackId) -> Colour:
    """The colour of a track, the same in every picture."""
    number = track if isinstance(track, int) else sum(track.encode())
    return COLOURS[(number - 1) % len(COLOURS)]


def draw(
    picture: Pixels,
    people: Sequence[PersonNow],
    events: Sequence[Event],
    pts_s: float,
    style: Style = Style(),
    places: Places | None = None,
) -> Pixels:
    """A copy of RGB (height, width, 3) with all that is known drawn over it. events: the latest, oldest first.

    places: of a film, the same at each picture; panels stay where they are until another place is much better.
    """
    places = {} if places is None else places
    image = np.zeros_like(picture) if style.black else picture.copy()
    unit = Unit.of(image)
    bodies = [(person, person.body) for person in people if person.body is not None]
    if style.blur and not style.black:
        for _, body in bodies:
            blur_face(image, body, style.figure)
    for person, body in bodies:
        colour = colour_of(person.track)
        if style.skeletons:
            draw_skeleton(image, body, style.figure, colour, unit.line)
        _draw_box(image, body, colour, unit.line * (2 if person.active else 1))
    lines = _event_lines(image, events, pts_s)
    taken = [_lower_left(image, lines, unit)]
    rows = BARS if len(bodies) <= 2 and min(image.shape[:2]) >= _LITTLE else 1
    for person in people:
        _draw_panel(image, person, rows, unit, taken, [body for _, body in bodies], places)
    _draw_events(image, lines, unit)
    return image


def draw_skeleton(image: Pixels, body: Body, figure: Figure, colour: Colour, line: int, *, rim: bool = True) -> None:
    """Bones and joints into RGB, in place; rim: a dark one, so that they show on any ground.

    A joint without a bone that is drawn is left out, for it is mostly a guess; where there are no bones at all none is.
    """
    joints = body.keypoints
    sure = joints[:, 2] >= SURE
    drawn = [(a, b) for a, b in figure.bones if max(a, b) < len(joints) and sure[a] and sure[b]]
    strokes = [(line * 2 + 1 if line > 1 else 3, DARK)] if rim else []
    for thick, shade in [*strokes, (line, colour)]:
        for a, b in drawn:
            cv2.line(image, _point(joints[a]), _point(joints[b]), shade, thick, cv2.LINE_AA, _SHIFT)
    ends = sorted({end for bone in drawn for end in bone}) if figure.bones else np.flatnonzero(sure).tolist()
    for joint in joints[ends] if rim else ():
        cv2.circle(image, _point(joint), round((line + 0.5) * 2**_SHIFT), DARK, -1, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, _point(joint), round(line * 2**_SHIFT), colour, -1, cv2.LINE_AA, _SHIFT)


def blur_face(image: Pixels, body: Body, figure: Figure = COCO17) -> None:
    """Make the head of a body a few large squares, in place; where no joint of it is known, the top of the box."""
    height, width = image.shape[:2]
    left, top, right, bottom = body.box.tolist()
    head = body.keypoints[[joint for joint in figure.head if joint < len(body.keypoints)]]
    head = head[head[:, 2] > 0]
    if len(head):
        x, y = head[:, :2].mean(0).tolist()
        spread = float(np.ptp(head[:, :2], axis=0).max())
        radius = max(spread, 0.12 * max(right - left, bottom - top))
    else:
        radius = 0.15 * max(right - left, bottom - top)
        x, y = (left + right) / 2, top + radius
    x0, x1 = (int(np.clip(edge, 0, width)) for edge in (x - radius, x + radius + 1))
    y0, y1 = (int(np.clip(edge, 0, height)) for edge in (y - radius * 1.2, y + radius * 1.2 + 1))
    if x0 < x1 and y0 < y1:
        face = image[y0:y1, x0:x1]
        coarse = cv2.resize(face, (3, 3), interpolation=cv2.INTER_AREA)
        face[:] = cv2.resize(coarse, (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST)


@dataclass(frozen=True, slots=True)
class Unit:
    """Sizes in pixels for one picture. line: how thick. letter: height of a capital. gap: around a text."""

    line: int
    letter: int
    gap: int

    @classmethod
    def of(cls, image: Pixels) -> Unit:
        short = min(image.shape[:2])
        letter = max(7, round(short / 45))
        return cls(max(1, round(short / 300)), letter, max(2, letter // 3))


_SHIFT = 4
"""Coordinates are drawn to a sixteenth of a pixel."""
_LITTLE = 400
"""A picture whose shorter side has fewer pixels has room for one bar a person."""
_FAR = 2.0**15
_Rectangle = tuple[int, int, int, int]


def _point(joint: NDArray[np.float32]) -> tuple[int, int]:
    x, y = np.clip(joint[:2], -_FAR, _FAR)
    return round(float(x) * 2**_SHIFT), round(float(y) * 2**_SHIFT)


def _draw_box(image: Pixels, body: Body, colour: Colour, line: int) -> None:
    left, top, right, bottom = _edges(body)
    cv2.rectangle(image, (left, top), (right, bottom), DARK, line + 2, cv2.LINE_AA)
    cv2.rectangle(image, (left, top), (right, bottom), colour, line, cv2.LINE_AA)


def _draw_panel(
    image: Pixels,
    person: PersonNow,
    rows: int,
    unit: Unit,
    taken: list[_Rectangle],
    bodies: Sequence[Body],
    places: Places,
) -> None:
    """A person's number, the event that is under way, and bars, above their box or near it.

    taken: panels that are there, to which this adds its own.
    """
    colour = colour_of(person.track)
    name = f"#{person.track}"
    if person.active is not None:
        name += f" {person.ahead}{person.active[0]}"
    labels = list(person.leading[:rows])
    pitch = lettering("Ag", unit.letter).shape[0] + 1
    words = [f"{person.ahead}{label} {share:.0%}" for label, share in labels]
    widths = [lettering(word, unit.letter).shape[1] for word in words]
    wide = max([lettering(name, unit.letter, True).shape[1], *widths], default=0) + 2 * unit.gap
    high = pitch * (1 + len(labels)) + unit.gap
    inside = _choices(image, person.body, wide, high, taken)
    hidden = [_hidden((x, y, x + wide, y + high), taken, bodies) for x, y in inside]
    best = min(range(len(inside)), key=hidden.__getitem__)  # the first of several that are alike
    last = places.get(person.track, best)
    if last < len(inside) and hidden[last] <= hidden[best] + STAYS * wide * high:
        best = last
    places[person.track] = best
    left, top = inside[best]
    taken.append((left, top, left + wide, top + high))
    _shade(image, left, top, wide, high)
    image[max(top, 0) : top + pitch, max(left, 0) : left + wide] = colour
    write(image, name, (left + unit.gap, top), unit.letter, _ink(colour), True)
    for row, ((_, share), word) in enumerate(zip(labels, words, strict=True), 1):
        y = top + row * pitch + unit.gap // 2
        bar = image[max(y, 0) : y + pitch - 1, max(left, 0) : left + round(wide * share)]
        bar[:] = (bar * 0.45 + np.array(colour) * 0.55).astype(np.uint8)
        write(image, word, (left + unit.gap, y), unit.letter, LIGHT, False)


def _choices(
    image: Pixels, body: Body | None, wide: int, high: int, taken: Sequence[_Rectangle]
) -> list[tuple[int, int]]:
    """Left and top of a panel within the picture, wherever it might be, the likeliest first."""
    height, width = image.shape[:2]
    if body is None:
        wanted = [(0, sum(bottom - top for _, top, _, bottom in taken[1:]))]
    else:
        left, top, right, bottom = _edges(body)
        wanted = [(left, top - high), (right, top), (left - wide, top), (left, bottom), (left, top)]
        wanted += [(left, top - high - step * (high // 2 + 1)) for step in range(1, 6)]
    return [(int(np.clip(x, 0, max(0, width - wide))), int(np.clip(y, 0, max(0, height - high)))) for x, y in wanted]


def _hidden(panel: _Rectangle, taken: Sequence[_Rectangle], bodies: Sequence[Body]) -> int:
    """Pixels that a panel would hide; those of another panel count most."""
    panels = sum(_overlap(panel, other) for other in taken)
    return HIDES * panels + sum(_overlap(panel, _edges(other)) for other in bodies)


def _overlap(one: _Rectangle, other: _Rectangle) -> int:
    """Pixels that both have."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(across, 0) * max(down, 0)


def _edges(body: Body) -> _Rectangle:
    left, top, right, bottom = (round(float(np.clip(edge, -_FAR, _FAR))) for edge in body.box)
    return left, top, right, bottom


def _event_lines(image: Pixels, events: Sequence[Event], pts_s: float) -> list[tuple[str, Colour]]:
    """The time, and above it the latest events: text and colour, from the lowest line up."""
    lines = [(f"{pts_s:.1f} s", LIGHT)]
    most = MOST_EVENTS if min(image.shape[:2]) >= _LITTLE else 2
    for event in list(events)[: -most - 1 : -1]:
        sign = ">" if event.phase == "begin" else "x"
        red, green, blue = ((part * 2 + 255) // 3 for part in colour_of(event.track))  # lighter: they stand on dark
        lines.append((f"{sign} {event.pts_s:.1f} s  #{event.track} {happening(event)}", (red, green, blue)))
    return lines


def _lower_left(image: Pixels, lines: Sequence[tuple[str, Colour]], unit: Unit) -> _Rectangle:
    """Where the lines are."""
    pitch = lettering("Ag", unit.letter).shape[0] + 1
    wide = max(lettering(text, unit.letter).shape[1] for text, _ in lines) + 2 * unit.gap
    return 0, image.shape[0] - pitch * len(lines) - unit.gap, wide, image.shape[0]


def _draw_events(image: Pixels, lines: Sequence[tuple[str, Colour]], unit: Unit) -> None:
    left, top, right, bottom = _lower_left(image, lines, unit)
    pitch = lettering("Ag", unit.letter).shape[0] + 1
    _shade(image, left, top, right, bottom - top)
    for row, (text, colour) in enumerate(lines):
        write(image, text, (unit.gap, bottom - pitch * (row + 1) - unit.gap // 2), unit.letter, colour, False)


def _shade(image: Pixels, left: int, top: int, wide: int, high: int) -> None:
    """Darken a part, so that letters show on it."""
    part = image[max(top, 0) : top + high, max(left, 0) : left + wide]
    part[:] = part // 4


def _ink(colour: Colour) -> Colour:
    """Dark on light colours, light on dark ones."""
    red, green, blue = colour
    return DARK if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else LIGHT
