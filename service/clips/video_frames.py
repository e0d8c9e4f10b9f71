"""The frames of a video file for a stream: read on a thread of its own, made RGB only where they are stepped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
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
from inkling.service.memory_account import MIB, Share
from inkling.service.protocol.errors import BadClip, TooLarge
from inkling.service.protocol.image_binary import ImageFrame

NICE = 10
BYTES_A_PIXEL = 42
"""What a film takes for each pixel of a frame: the decoder's own frames, those read ahead and those in the inbox, and
those that are being made RGB. 41 were measured for an H.264 film of 2048 x 2048 on two cores."""
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
    path: Path, limits: VideoLimits, progress: VideoProgress, held: Share, fps: float | None = None
) -> AsyncGenerator[ImageFrame, None]:
    """Every frame of the file, in time; at `fps` when that is given. Close it (`aclosing`) when you stop early.

    held: takes what decoding takes. What was wrong with the file is in `progress.warnings` at the end. Raises BadClip
    when nothing of it can be seen, TooLarge when it has too many frames or its frames are too large for the memory that
    videos get, OverCapacity when there is too little now.
    """
    loop = asyncio.get_running_loop()
    # The reader belongs to one thread; those that its decoder starts are as nice as this one.
    thread = ThreadPoolExecutor(1, thread_name_prefix="video", initializer=_give_way)
    source = _FrameReader(path, limits, progress, fps)
    try:
        promised = await loop.run_in_executor(thread, source.open)
        _take(held, promised)
        ahead = loop.run_in_executor(thread, source.read)
        while frames := await ahead:
            if source.pixels > promised:  # they have grown
                _take(held, source.pixels - promised)
                promised = source.pixels
            ahead = loop.run_in_executor(thread, source.read)
            for frame in frames:
                progress.frames, progress.pts_s = frame.seq + 1, frame.pts_s or 0.0
                yield frame
    finally:
        thread.submit(source.close)
        thread.shutdown(wait=False)


def _give_way() -> None:
    """Streams come first: on Linux niceness is a thread's own."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _take(held: Share, pixels: int) -> None:
    count = BYTES_A_PIXEL * pixels
    if held.bytes + count > held.most:
        raise TooLarge(
            f"decoding frames of this size may take {(held.bytes + count) // MIB} MiB, and all videos together get "
            f"{held.most // MIB} (setting max_promised_bytes): send it smaller"
        )
    held.take(count)


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
        self.pixels = 0
        """Of the largest frame."""

    def open(self) -> int:
        """Open the file; the pixels of its frames. Raises BadClip."""
        try:
            self._reader = VideoReader(self._path, max_pixels=self._limits.max_pixels, threads=self._limits.threads)
        except VideoError as error:
            raise BadClip(str(error)) from None
        self._progress.duration_s = self._reader.duration_s
        self._frames = iter(self._reader)
        self.pixels = self._reader.pixels
        return self.pixels

    def read(self) -> list[ImageFrame]:
        """The next frames; none at the end."""
        frames: list[ImageFrame] = []
        pixels = 0
        while not self._over and (not frames or pixels < _READ_PIXELS):
            try:
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
            self.pixels = max(self.pixels, frame.width * frame.height)
            time_s = pts_s if self._fps is None else self._seq / self._fps
            frames.append(ImageFrame(self._seq, time_s, partial(to_rgb, frame)))
            self._seq += 1
        return frames

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()

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
