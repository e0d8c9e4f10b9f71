"""Small real videos: a square that drops, or stays, on a grey ground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np

from inkling.training.recipe.recipe import Recipe

FPS = 20


def write_video(path: Path, kind: str, frames: int = 40, seed: int = 0, size: tuple[int, int] = (48, 64)) -> Path:
    """kind: `drop` (stands for the first half, then drops) or `stay`. MPEG-4 part 2, at 20 frames a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    height, width = size
    left, shade = int(rng.integers(4, width - 20)), int(rng.integers(120, 255))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=FPS)
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = height, width, "yuv420p", 2_000_000
        for i in range(frames):
            image = np.full((height, width, 3), 60, np.uint8)
            fallen = max(0.0, min(1.0, (2 * i / frames - 1) * 2)) if kind == "drop" else 0.0
            top = int(4 + fallen * (height - 20))
            image[top : top + 14, left : left + 10] = shade
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def write_drops(root: Path, events: int = 6, seconds: float = 2.0) -> Path:
    """A folder of videos with `clips.csv`: drops in two segments and a deadline, and recordings without any."""
    frames = int(seconds * FPS)
    lines = ["path,label,split,start_s,end_s,group"]
    for i in range(events):
        split = "test" if i % 3 == 2 else "train"
        write_video(root / f"drop{i}.mp4", "drop", frames, i)
        write_video(root / f"stay{i}.mp4", "stay", frames, 100 + i)
        half = seconds / 2
        lines += [
            f"drop{i}.mp4,quiet,{split},0,{half},d{i}",
            f"drop{i}.mp4,falling,{split},{half},{half + 0.5},d{i}",
            f"drop{i}.mp4,down,{split},{half + 0.5},,d{i}",
            f"stay{i}.mp4,quiet,{split},,,s{i}",
        ]
    (root / "clips.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


def frame_recipe(**changes: Any) -> Recipe:
    """Two epochs of a tiny student and teacher on the frames of `drops`."""
    network = {"hidden": 8, "widths": [8], "dropout": 0.1}
    fields: dict[str, Any] = {
        "name": "drops",
        "datasets": [{"path": "drops", "rename": {"falling": "fall", "down": "fall"}}],
        "rate_hz": 10.0,
        "frames": {"height": 32, "width": 32, "backbone": "resnet_small", "channels": 8, "motion": True},
        "background": {"label": "quiet"},
        "student": network,
        "teacher": network,
        "windows": {"length_s": 1.2},
        "fit": {"epochs": 2, "batch_size": 4, "learning_rate": 0.01, "ema": 0.5},
        "validation": {"share": 0.3, "select": "last"},
    }
    return Recipe.model_validate(fields | changes)
