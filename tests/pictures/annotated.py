"""One frame of an annotated film, of a drawn figure: `docs/pictures/annotated.svg`, as `inkling annotate` draws it."""

from __future__ import annotations

import base64
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.client import Client
from inkling.models.video import VideoReader, to_rgb
from inkling.service.annotate.overlay import EVENTS_S, draw
from inkling.service.annotate.watch_film import watch_film
from inkling.service.demo.falling import dressed
from inkling.service.demo.figure import pose
from tests.films import make_film

AT_S = 2.0
LARGER = 2
FPS = 15


def draw_frame(url: str) -> NDArray[np.uint8]:
    """The frame at `AT_S`, RGB, from what a running server says of the film up to it."""
    poses = [pose("squat", i / FPS, height=130, centre=(160, 140)) for i in range(round(AT_S * FPS) + 1)]
    scene = [cv2.resize(dressed(joints[:, :2]), None, fx=LARGER, fy=LARGER) for joints in poses]
    with TemporaryDirectory() as folder:
        film = make_film(Path(folder) / "film.mkv", [np.asarray(image, np.uint8) for image in scene], float(FPS))
        record = watch_film(Client(url), film).record
        with VideoReader(film) as reader:
            for pts_s, frame in reader:
                if pts_s >= AT_S - 1e-3:
                    return draw(to_rgb(frame), record.people_at(pts_s), record.events_at(pts_s, EVENTS_S), pts_s)
    raise AssertionError("the film is shorter than that")


def draw_svg(url: str) -> str:
    """The frame as SVG."""
    image = draw_frame(url)
    height, width = image.shape[:2]
    good, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    assert good
    data = base64.b64encode(png.tobytes()).decode()
    size = f'width="{width}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size}>'
    return f'{head}<image {size} href="data:image/png;base64,{data}"/></svg>\n'
