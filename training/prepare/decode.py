"""What a worker of `inkling train prepare videos` does with one video. Without torch, unless an extractor is asked for:
a worker that only decodes starts in a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from inkling.models.clock import Resampler
from inkling.models.errors import VideoError
from inkling.models.resize import PIXELS_VERSION, FitPolicy, Image, fit_image
from inkling.models.video import VideoReader, to_rgb
from inkling.training.prepare.content_cache import BrokenVideo, cached

BATCH = 32
"""Frames that an extractor sees at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How videos become arrays. extractor: identity of a frozen backbone whose features are kept instead of frames,
    network: that backbone's `FrameConfig` as JSON."""

    height: int
    width: int
    fit: FitPolicy
    rate_hz: float
    extractor: str = ""
    network: str = ""

    @property
    def key(self) -> str:
        """Everything besides the video that decides the array."""
        size = f"{self.height}x{self.width}-{self.fit}-{self.rate_hz!r}-pixels{PIXELS_VERSION}"
        return f"{size}-{self.extractor}" if self.extractor else size


def decoded(path: Path, plan: Plan) -> Iterator[Image]:
    """The frames of a video that the model would step on, fitted. Raises BrokenVideo."""
    resampler = Resampler(plan.rate_hz, "hold", float("inf"))
    fitted = None
    try:
        with VideoReader(path, threads=1) as video:  # the other cores are busy with other videos
            for pts_s, frame in video:
                verdict = resampler.push(pts_s)
                if not verdict.steps:
                    continue  # never converted: much of the time goes into that
                if fitted is not None:
                    yield from [fitted] * (verdict.steps - 1)
                fitted = fit_image(to_rgb(frame), plan.height, plan.width, plan.fit)
                yield fitted
    except VideoError as error:
        raise BrokenVideo(str(error)) from error


def prepare_one(video: Path, arrays: Path, plan: Plan) -> tuple[str, int]:
    """Prepare a recording unless that is done: (name of its array, frames kept now). Raises BrokenVideo."""

    def write(out: IO[bytes]) -> int:
        images = list(decoded(video, plan))
        np.save(out, _extract(images, plan) if plan.extractor else np.stack(images), allow_pickle=False)
        return len(images)

    return cached(video, arrays, plan.key, ".npy", write)


Extract = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
_built: dict[str, Extract] = {}


def _extract(images: Sequence[Image], plan: Plan) -> NDArray[np.float32]:
    """Features (T, dim) of a recording."""
    if plan.network not in _built:  # once in each process
        _built[plan.network] = _build(plan.network)
    extract = _built[plan.network]
    starts = range(0, len(images), BATCH)
    return np.concatenate([extract(np.stack(images[start : start + BATCH])) for start in starts])


def _build(network: str) -> Extract:
    import torch

    from inkling.models.networks import FrameConfig, FrameFeatures
    from inkling.training.networks.weights import begin_with

    torch.set_num_threads(1)  # one process per core
    config = FrameConfig.model_validate_json(network)
    features = FrameFeatures(config, 1.0)
    if config.weights is not None:
        begin_with(features, config)
    features.eval()

    def extract(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(features.images(torch.from_numpy(images)).numpy(), np.float32)

    return extract
