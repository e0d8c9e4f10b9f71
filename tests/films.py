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


def jpeg_film(path: Path, jpegs: Sequence[bytes], width: int, height: int, rate: int = 30) -> Path:
    """Write JPEGs as they are, whole or not."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("mjpeg", rate=rate)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuvj420p"
        for number, data in enumerate(jpegs):
            packet: Any = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, number, number, Fraction(1, rate)
            packet.is_keyframe = True
            file.mux(packet)
    return path


def lose_packets(path: Path, share: float, seed: int, spared: int = 3) -> Path:
    """A copy of a transport stream that lacks a share of its packets, as radio and UDP lose them."""
    data, chance = path.read_bytes(), np.random.default_rng(seed)
    packets = [data[i : i + 188] for i in range(0, len(data), 188)]
    kept = [packet for i, packet in enumerate(packets) if i < spared or chance.random() >= share]
    copy = path.with_name(f"lost-{share}-{seed}-{path.name}")
    copy.write_bytes(b"".join(kept))
    return copy


def quiet_scene(count: int, height: int = 240, width: int = 320, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Somebody who stands and sways a little in a room, with a camera's noise."""
    chance = np.random.default_rng(seed)
    room = np.kron(chance.integers(0, 255, (height // 20, width // 20, 3)), np.ones((20, 20, 1)))
    scene = []
    for i in range(count):
        image = room.copy()
        left = width // 4 + round(width / 10 * np.sin(i / 20))
        image[height // 3 : height * 5 // 6, left : left + width // 8] = (200, 120, 60)
        scene.append(np.clip(image + chance.normal(0, 3, image.shape), 0, 255).astype(np.uint8))
    return scene
