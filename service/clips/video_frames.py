"""The frames of a video file for a stream: read on a thread of its own, made RGB only where they are stepped."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import av

from inkling.models.clean_decoding import Damage
from inkling.models.errors import VideoError
from inkling.models.video import VideoReader, to_rgb
from inkling.service.protocol.errors import BadClip, TooLarge
from inkling.service.protocol.image_binary import ImageFrame

_READ_PIXELS = 4 * 1920 * 1080
"""Pixels that are read in one go, before the loop takes them; at least one frame."""


@dataclass(slots=True)
class VideoProgress:
    """How far the reading of a video is. duration_s: what the file says, which may be wrong.

    warnings, damaged: what was wrong with it, and frames that were left out by cause; when it is over.
    """

    frames: int = 0
    pts_s: float = 0.0
    duration_s: float | None = None
    warnings: list[str] = field(default_factory=list)
    damaged: Counter[Damage] = field(default_factory=Counter)

    @property
    def share(self) -> float | None:
        """In [0, 1], as far as the file tells."""
        return min(self.pts_s / self.duration_s, 1.0) if self.duration_s else None


@dataclass(frozen=True, slots=True)
class VideoLimits:
    """What is read of a video. threads: of its decoder."""

    max_pixels: int
    max_frames: int
    threads: int


async def video_frames(
    path: Path, limits: VideoLimits, progress: VideoProgress, fps: float | None = None
) -> AsyncGenerator[ImageFrame, None]:
    """Every frame of the file, in time; at `fps` when that is given. Close it (`aclosing`) when you stop early.

    What was wrong with the file is in `progress.warnings` at the end. Raises BadClip when nothing of it can be seen,
    TooLarge when it has too many frames.
    """
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="video")  # the reader belongs to one thread
    source = _FrameReader(path, limits, progress, fps)
    try:
        ahead = loop.run_in_executor(thread, source.read)
        while frames := await ahead:
            ahead = loop.run_in_executor(thread, source.read)
            for frame in frames:
                progress.frames, progress.pts_s = frame.seq + 1, frame.pts_s or 0.0
                yield frame
    finally:
        thread.submit(source.close)
        thread.shutdown(wait=False)


class _FrameReader:
    """The blocking half: everything on the reader's thread."""

    def __init__(self, path: Path, limits: VideoLimits, progress: VideoProgress, fps: float | None) -> None:
        self._path = path
        self._limits = limits
        self._progress = progress
        self._fps = fps
        self._reader: VideoReader | None = None
        self._frames: Iterator[tuple[float, av.VideoFrame]] = iter(())
        self._seq = 0
        self._over = False

    def read(self) -> list[ImageFrame]:
        """The next frames; none at the end."""
        frames: list[ImageFrame] = []
        pixels = 0
        while not self._over and (not frames or pixels < _READ_PIXELS):
            try:
                if self._reader is None:
                    self._open()
                pts_s, frame = next(self._frames)
            except StopIteration:
                self._end()
                break
            except VideoError as error:
                self._end(str(error))
                break
            if self._seq >= self._limits.max_frames:
                raise TooLarge(f"the video has more than the {self._limits.max_frames} frames that are taken")
            pixels += frame.width * frame.height
            time_s = pts_s if self._fps is None else self._seq / self._fps
            frames.append(ImageFrame(self._seq, time_s, partial(to_rgb, frame)))
            self._seq += 1
        return frames

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _open(self) -> None:
        self._reader = VideoReader(self._path, max_pixels=self._limits.max_pixels, threads=self._limits.threads)
        self._progress.duration_s = self._reader.duration_s
        self._frames = iter(self._reader)

    def _end(self, broken: str | None = None) -> None:
        """No more frames. Raises BadClip when there were none at all."""
        self._over = True
        if self._reader is not None:
            self._progress.damaged = self._reader.left_out
        if broken is not None and not self._seq:
            raise BadClip(broken)
        if self._reader is not None:
            self._progress.warnings += self._reader.warnings
        if broken is not None:
            self._progress.warnings.append(f"the video ends after frame {self._seq - 1}: {broken}")
