"""A drawn figure falls, and what the shipped `fall-watch` says of it: `docs/pictures/fall.svg`.

The recordings that the model was trained on may not be passed on, so the figure of the demo falls instead, in a drawn
room. The probabilities are the model's own, from a running server.
"""

from __future__ import annotations

import base64

import cv2

from inkling.client import Client
from inkling.service.demo import falling
from inkling.service.demo.falling import FALL_S, LASTS_S, SECONDS, picture
from tests.pictures import svg
from tests.pictures.chart import Chart

SHOWN = (2.0, 3.2, 3.4, 3.6, 3.8, 4.2)
WIDTH, HEIGHT = 900, 420


def probabilities(url: str) -> list[tuple[float, float]]:
    """(seconds, probability of a fall) from `fall-watch` on a running server."""
    with Client(url).stream("fall-watch", input="frame", policy="block") as stream:
        fall = stream.labels.index("fall")
        for frame in range(round(SECONDS * falling.FPS)):
            stream.send_image(picture(frame / falling.FPS), frame / falling.FPS)
        return [(one.pts_s, one.probabilities[fall]) for one in stream.finish()]


def draw(url: str) -> str:
    chart = Chart(60, 185, 820, 180, (0, SECONDS), (0, 1))
    curve = probabilities(url)
    parts = [svg.text(16, 26, "What fall-watch says while a drawn figure falls", 16, weight="bold")]
    width = (WIDTH - 32 - 8 * (len(SHOWN) - 1)) / len(SHOWN)
    height = width * falling.HEIGHT / falling.WIDTH
    begin, _ = chart.at(FALL_S, 0)
    end, _ = chart.at(FALL_S + LASTS_S, 0)
    parts.append(f"<rect x='{begin:.1f}' y='185' width='{end - begin:.1f}' height='180' fill='#fdecea'/>")
    parts.append(svg.text(begin - 6, 202, "falling", 13, "#a33", "end"))
    parts += chart.axes([(s, f"{s} s") for s in range(7)], [(0, "0 %"), (0.5, "50 %"), (1, "100 %")])
    for number, t_s in enumerate(SHOWN):
        done, file = cv2.imencode(".jpg", cv2.cvtColor(picture(t_s), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
        assert done
        data = base64.b64encode(file.tobytes()).decode()
        x = 16 + number * (width + 8)
        size = f"width='{width:.1f}' height='{height:.1f}'"
        parts.append(f"<image x='{x:.1f}' y='40' {size} href='data:image/jpeg;base64,{data}'/>")
        at, _ = chart.at(t_s, 0)
        parts.append(svg.line([(x + width / 2, 40 + height), (at, 185)], svg.PALE, 1))
        parts.append(svg.line([(at, 185), (at, 365)], svg.PALE, 1, dash="3 3"))
    parts.append(chart.curve(curve, svg.COLOURS[1], 3))
    parts.append(svg.text(470, 408, "probability of a fall at each frame", anchor="middle"))
    return svg.document(WIDTH, HEIGHT, "A fall in six pictures over the probability of a fall", parts)
