"""A film of a drawn figure that falls, to try `fall-watch` without a camera.

    python -m inkling.service.demo.falling fall.mp4

Drawn, not recorded: the recordings that the model was trained on may not be passed on. It shows that the chain works,
not how well. Needs the extra `images`.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.service.demo.figure import pose

FPS = 10
SECONDS = 6.0
FALL_S, LASTS_S = 3.0, 0.9
"""When the figure begins to fall, and for how long it does."""
WIDTH, HEIGHT = 320, 240
SHIRT, TROUSERS, SKIN = (150, 70, 60), (60, 60, 150), (205, 170, 140)
LIMBS = ((11, 13), (13, 15), (12, 14), (14, 16), (5, 7), (7, 9), (6, 8), (8, 10))

Image = NDArray[np.uint8]


def room() -> Image:
    """An empty room (HEIGHT, WIDTH, 3), RGB."""
    image: Image = np.full((HEIGHT, WIDTH, 3), (170, 160, 150), np.uint8)
    image[170:] = (120, 110, 95)
    image[60:120, 20:80] = (200, 210, 220)
    image[110:190, 240:310] = (110, 80, 60)
    return image


def joints(t_s: float) -> NDArray[np.float64]:
    """COCO joints (17, 2) in pixels: standing at ease, then toppling around the feet, then lying."""
    standing = pose("idle", t_s, height=130, centre=(160, 140), noise=0.002)[:, :2].astype(np.float64)
    angle = np.clip((t_s - FALL_S) / LASTS_S, 0, 1) ** 2 * np.radians(86)
    foot = standing[[15, 16]].mean(0)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = (standing - foot) @ np.array([[cos, sin], [-sin, cos]])
    return np.asarray(foot + turned + np.array([0, 8 * sin]))


def picture(t_s: float) -> Image:
    """The room with the figure at a time, RGB."""
    return dressed(joints(t_s))


def dressed(joints: NDArray[np.floating]) -> Image:
    """The room with a figure whose COCO joints (17, 2) are there, RGB."""
    image, at = room(), joints.round().astype(np.int32)
    for start, end in LIMBS:
        cv2.line(image, at[start].tolist(), at[end].tolist(), TROUSERS if start > 10 else SHIRT, 9, cv2.LINE_AA)
    cv2.fillPoly(image, [at[[5, 6, 12, 11]]], SHIRT, cv2.LINE_AA)
    cv2.circle(image, at[[3, 4]].mean(0).round().astype(int).tolist(), 11, SKIN, -1, cv2.LINE_AA)
    return image


def film(path: Path) -> None:
    """Write the film. Raises what PyAV raises where the file cannot be written."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.bit_rate = 1_000_000
        for number in range(round(SECONDS * FPS)):
            frame = av.VideoFrame.from_ndarray(picture(number / FPS), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a film of a drawn figure that falls.")
    parser.add_argument("out", type=Path, metavar="FILE", help="a video file, such as fall.mp4")
    film(parser.parse_args().out)


if __name__ == "__main__":
    main()
