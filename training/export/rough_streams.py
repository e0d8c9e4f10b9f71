"""Made-up streams that visit what real ones do, by which graphs are compared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import FrameInput
from inkling.models.skeletons import Skeleton


def rough_poses(skeleton: Skeleton, steps: int, rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Made-up streams that visit what a real one does: (steps, rows, J, D + 1) float32.

    Bodies of different place and size in the picture that move, with joints that flicker, whole stretches without
    anybody, one row that begins with nothing, and sudden jumps.
    """
    rng = np.random.default_rng(seed)
    joints, dimensions = len(skeleton.joints), skeleton.dimensions
    body = rng.normal(size=(1, rows, joints, dimensions))
    swing = rng.normal(size=(1, rows, joints, dimensions)) * 0.3
    phase = np.linspace(0, steps / 6, steps)[:, None, None, None] * rng.uniform(0.5, 2, (1, rows, joints, 1))
    drift = np.cumsum(rng.normal(size=(steps, rows, 1, dimensions)) * 0.02, 0)
    drift += (rng.random((steps, rows, 1, 1)) < 0.01) * rng.normal(size=(steps, rows, 1, dimensions)) * 3
    size = rng.uniform(40, 200, (1, rows, 1, 1))
    points = (body + swing * np.sin(phase) + drift) * size + rng.uniform(200, 800, (1, rows, 1, dimensions))
    present = rng.random((steps, rows, joints)) > 0.1
    present[steps // 3 : steps // 3 + max(1, steps // 10)] = False
    present[: steps // 8, -1] = False
    confidence = present * rng.uniform(0.3, 1, present.shape)
    return np.concatenate([points * present[..., None], confidence[..., None]], -1).astype(np.float32)


def rough_frames(takes: FrameInput, steps: int, rows: int, seed: int = 0) -> NDArray[np.uint8]:
    """Made-up streams of frames, (steps, rows, H, W, 3) uint8: noise of changing light, a figure that wanders through,
    stretches where nothing moves, cuts to another scene, and black frames."""
    rng = np.random.default_rng(seed)
    height, width = takes.shape[:2]
    scene = rng.integers(0, 256, (rows, height, width, 3)).astype(np.float32)
    frames = np.empty((steps, rows, *takes.shape), np.uint8)
    place = rng.random((rows, 2))
    for i in range(steps):
        if rng.random() < 0.02:
            scene = rng.integers(0, 256, scene.shape).astype(np.float32)
        still = i % 40 > 32
        if not still:
            place = np.clip(place + rng.normal(size=place.shape) * 0.05, 0, 0.8)
        frame = scene * (0.6 + 0.4 * np.sin(i / 30)) + (0 if still else rng.normal(size=scene.shape) * 6)
        for row, (y, x) in enumerate(place):
            top, left = int(y * height), int(x * width)
            frame[row, top : top + height // 3, left : left + width // 5] = 40 * row + 30
        frames[i] = np.clip(frame, 0, 255)
    frames[steps // 3 : steps // 3 + 3, 0] = 0
    return frames
