"""Video files made for tests, of known pictures at known times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.support import picture

BASE = Fraction(1, 90_000)


def pictures(count: int, height: int = 48, width: int = 64, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Different pictures in a row."""
    return [picture(height, width, seed=seed + i) for i in range(count)]


def make_film(
    path: Path,
    images: Sequence[NDArray[np.uint8]],
    times_s: Sequence[float] | float = 15.0,
    codec: str = "ffv1",
    pixels: str = "bgr0",
    *,
    options: Mapping[str, str] | None = None,
    audio: bool = False,
    base: Fraction = BASE,
) -> Path:
    """Write `images` at `times_s` (or at that many a second), by default without loss. audio: with a silent track."""
    times = [i / times_s for i in range(len(images))] if isinstance(times_s, int | float) else times_s
    rate = round(1 / (times[1] - times[0])) if len(times) > 1 else 15
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=rate, options=dict(options or {}))
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], pixels
        stream.codec_context.time_base = base
        sound: Any = None
        if audio:
            sound = file.add_stream("aac", rate=16_000, layout="mono")
        for image, time_s in zip(images, times, strict=True):
            frame: Any = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = round(time_s / base), base
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
        if sound is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 16_000
            for i in range(int(16_000 * times[-1] / 1024) + 1):
                silence.pts = i * 1024
                file.mux(sound.encode(silence))
            file.mux(sound.encode())
    return path
