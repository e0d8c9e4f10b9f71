"""A drawn figure falls, and what the shipped `fall-watch` says of it: `docs/pictures/fall.svg`.

The recordings that the model was trained on may not be passed on, so the figure of the demo falls instead, in a drawn
room. The probabilities are the model's own, from a running server.
"""

from __future__ import annotations

import base64

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.client import Client
from inkling.service.demo.figure import pose
from tests.pictures import svg
from tests.pictures.chart import Chart

RATE_HZ = 10
SECONDS = 6.0
FALL_S, LASTS_S = 3.0, 0.9
SHOWN = (2.0, 3.2, 3.4, 3.6, 3.8, 4.2)
WIDTH, HEIGHT = 900, 420
ROOM = (320, 240)
SHIRT, TROUSERS, SKIN = (150, 70, 60), (60, 60, 150), (205, 170, 140)
LIMBS = ((11, 13), (13, 15), (12, 14), (14, 16), (5, 7), (7, 9), (6, 8), (8, 10))

Image = NDArray[np.uint8]


def room() -> Image:
    """An empty room (240, 320, 3), RGB."""
    image: Image = np.full((ROOM[1], ROOM[0], 3), (170, 160, 150), np.uint8)
    image[170:] = (120, 110, 95)
    image[60:120, 20:80] = (200, 210, 220)
    image[110:190, 240:310] = (110, 80, 60)
    return image


def body(t_s: float) -> NDArray[np.float64]:
    """COCO joints (17, 2) in pixels: standing at ease, then toppling around the feet, then lying."""
    joints = pose("idle", t_s, height=130, centre=(160, 140), noise=0.002)[:, :2].astype(np.float64)
    angle = np.clip((t_s - FALL_S) / LASTS_S, 0, 1) ** 2 * np.radians(86)
    foot = joints[[15, 16]].mean(0)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = (joints - foot) @ np.array([[cos, sin], [-sin, cos]])
    return np.asarray(foot + turned + np.array([0, 8 * sin]))


def picture(t_s: float) -> Image:
    """The room with the figure at a time, RGB."""
    image, joints = room(), body(t_s).round().astype(np.int32)
    for start, end in LIMBS:
        cv2.line(image, joints[start].tolist(), joints[end].tolist(), TROUSERS if start > 10 else SHIRT, 9, cv2.LINE_AA)
    cv2.fillPoly(image, [joints[[5, 6, 12, 11]]], SHIRT, cv2.LINE_AA)
    cv2.circle(image, joints[[3, 4]].mean(0).round().astype(int).tolist(), 11, SKIN, -1, cv2.LINE_AA)
    return image


def probabilities(url: str) -> list[tuple[float, float]]:
    """(seconds, probability of a fall) from `fall-watch` on a running server."""
    found = []
    with Client(url).stream("fall-watch", input="frame", policy="block") as stream:
        fall = stream.labels.index("fall")
        for frame in range(round(SECONDS * RATE_HZ)):
            stream.send_image(picture(frame / RATE_HZ), frame / RATE_HZ)
        found = [(one.pts_s, one.probabilities[fall]) for one in stream.finish()]
    return found


def draw(url: str) -> str:
    chart = Chart(60, 185, 820, 180, (0, SECONDS), (0, 1))
    curve = probabilities(url)
    parts = [svg.text(16, 26, "What fall-watch says while a drawn figure falls", 16, weight="bold")]
    width = (WIDTH - 32 - 8 * (len(SHOWN) - 1)) / len(SHOWN)
    height = width * ROOM[1] / ROOM[0]
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
        parts.append(
            f"<image x='{x:.1f}' y='40' width='{width:.1f}' height='{height:.1f}' href='data:image/jpeg;base64,{data}'/>"
        )
        at, _ = chart.at(t_s, 0)
        parts.append(svg.line([(x + width / 2, 40 + height), (at, 185)], svg.PALE, 1))
        parts.append(svg.line([(at, 185), (at, 365)], svg.PALE, 1, dash="3 3"))
    parts.append(chart.curve(curve, svg.COLOURS[1], 3))
    parts.append(svg.text(470, 408, "probability of a fall at each frame", anchor="middle"))
    return svg.document(WIDTH, HEIGHT, "A fall in six pictures over the probability of a fall", parts)
