"""Video files as frames in time, the same for training and service: times repaired, pictures upright, RGB.

with VideoReader(path) as video:
    for pts_s, frame in video:          # by presentation time; frames are not converted yet
        image = to_rgb(frame)           # uint8 (height, width, 3)
    video.warnings                      # what was wrong with the file, if anything
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from inkling.models.errors import VideoError

CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,ogg,asf,gif,apng,h264,hevc,av1,obu,ivf,m4v,mjpeg,mjpeg_2000,"
    "mxf,nut,dv,rm,wtv,swf,vc1,yuv4mpegpipe"
)
"""What is read. Left out are the formats that name other files or addresses (playlists, image sequences, scripts)."""

MAX_PIXELS = 4096 * 4096
"""Largest frame, in pixels, by default."""

USUAL_INTERVAL_S = 1 / 30
JUMP_S = 1.0
"""A step back by more than this is a new time base, by less a frame out of order."""

_MANY_ERRORS = 100
"""Packets in a row that cannot be decoded before the rest is given up."""

_PADDING = 64 * 65536
"""libav pads rows to 64 pixels before it compares a frame with its limit; ours is exact."""

_local = threading.local()


class VideoReader:
    """The frames of a file, in the order in which they are shown. For one thread, as a context manager.

    Times begin at 0 and always rise: a frame without a time follows the one before it at the file's frame rate, one
    that is out of order comes right after it, and where the clock is set back the time goes on. What was repaired,
    skipped or missing is in `warnings`, one sentence each.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_pixels: int = MAX_PIXELS,
        threads: int = 0,
        timeout_s: float = 10.0,
    ) -> None:
        """threads: of the decoder; 0: as many as there are cores. timeout_s: of each read.

        Raises VideoError when there is no video in the file that can be read, or its frames have more pixels.
        """
        self.warnings: list[str] = []
        self.frames = 0
        """Frames given so far."""
        self._max_pixels = max_pixels
        limit = {"max_pixels": str(max_pixels + _PADDING)}
        try:
            self._container = av.open(
                str(path),
                container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
                options=limit,
                timeout=timeout_s,
                metadata_errors="replace",
            )
        except (av.FFmpegError, ValueError, OSError) as error:
            raise VideoError(f"the file cannot be read as a video: {_reason(error)}") from None
        try:
            stream = self._container.streams.best("video")
            if stream is None or stream.disposition & Disposition.attached_pic:
                raise VideoError("the file has no video in it")
            self._stream: Any = stream
            codec: Any = self._stream.codec_context
            if codec is None:
                raise VideoError("the file's video codec is not known here")
            if codec.width * codec.height > max_pixels:
                raise VideoError(f"frames of {codec.width} x {codec.height} pixels are too large")
            codec.thread_type = "AUTO"
            codec.thread_count = threads
            codec.options = limit
        except BaseException:
            self._container.close()
            raise

    @property
    def duration_s(self) -> float | None:
        """What the file says of its length; it may say nothing, or lie."""
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return None if container.duration is None else container.duration / av.time_base

    def __iter__(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """(pts_s, frame). Raises VideoError when not a single frame can be decoded, or one is too large."""
        times = Times(self._interval_s())
        bad = 0
        for frame in self._decoded():
            if frame is None:
                bad += 1
                continue
            if frame.width * frame.height > self._max_pixels:
                raise VideoError(f"a frame of {frame.width} x {frame.height} pixels is too large")
            base = frame.time_base or self._stream.time_base
            pts_s = times.place(_seconds(frame.pts, base), _seconds(frame.dts, base))
            self.frames += 1
            yield pts_s, frame
        if not self.frames:
            raise VideoError(f"no frame can be decoded; one may have at most {self._max_pixels} pixels")
        if bad:
            self.warnings.append(f"{bad} packets of the file could not be decoded: frames are missing or damaged")
        self.warnings += times.warnings()

    def _decoded(self) -> Iterator[av.VideoFrame | None]:
        """Frames as the decoder gives them, None for each packet that it could not use."""
        failed = 0
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self.warnings.append(f"the file breaks off after {self.frames} frames: {_reason(error)}")
                packet = None
            try:
                yield from self._stream.codec_context.decode(packet)
                failed = 0
            except EOFError:
                return
            except (av.FFmpegError, ValueError) as error:
                yield None
                failed += 1
                if failed >= _MANY_ERRORS:
                    self.warnings.append(f"the rest after frame {self.frames} cannot be decoded: {_reason(error)}")
                    return
            if packet is None:
                return

    def _interval_s(self) -> float:
        rate: Fraction | None = self._stream.average_rate or self._stream.guessed_rate
        return 1 / float(rate) if rate and 1 <= rate <= 1000 else USUAL_INTERVAL_S

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Times:
    """The times of a file's frames, made to begin at 0 and to rise. Pure.

    Where presentation times are out of order more often than decoding times, the latter are taken, as ffmpeg does: old
    containers have no others.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._last_s: float | None = None
        self._shift_s = 0.0
        self._previous: dict[str, float] = {}
        self._faults = {"pts": 0, "dts": 0}
        self._counts = {"missing": 0, "unordered": 0, "jumps": 0}

    def place(self, pts_s: float | None, dts_s: float | None) -> float:
        """When the next frame is shown, in seconds from the first."""
        given = self._best(pts_s, dts_s)
        if self._last_s is None:
            self._shift_s = -(given or 0.0)
            self._last_s = 0.0
            self._counts["missing"] += given is None
            return 0.0
        next_s = self._last_s + self._interval_s
        if given is None:
            self._counts["missing"] += 1
            time_s = next_s
        else:
            time_s = given + self._shift_s
            if time_s < self._last_s - JUMP_S:
                self._counts["jumps"] += 1
                self._shift_s += next_s - time_s
                time_s = next_s
            elif time_s <= self._last_s:
                self._counts["unordered"] += 1
                time_s = self._last_s + self._interval_s / 16
        self._last_s = time_s
        return time_s

    def warnings(self) -> list[str]:
        """A sentence for each kind of repair."""
        sentences = {
            "missing": "{} frames had no time and were placed by the frame rate",
            "unordered": "{} frames were out of order in time",
            "jumps": "the clock is set back {} times; the time goes on from there",
        }
        return [sentence.format(self._counts[kind]) for kind, sentence in sentences.items() if self._counts[kind]]

    def _best(self, pts_s: float | None, dts_s: float | None) -> float | None:
        for kind, value in (("pts", pts_s), ("dts", dts_s)):
            if value is not None:
                self._faults[kind] += value <= self._previous.get(kind, value - 1)
                self._previous[kind] = value
        if pts_s is not None and (dts_s is None or self._faults["pts"] <= self._faults["dts"]):
            return pts_s
        return dts_s


def to_rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """A decoded frame of any pixel format as contiguous uint8 RGB (height, width, 3), turned upright.

    May be called from any thread. Raises VideoError for a pixel format that cannot be converted.
    """
    # One converter for each thread: those of the frames themselves would be built anew for each.
    converter: VideoReformatter | None = getattr(_local, "converter", None)
    if converter is None:
        converter = _local.converter = VideoReformatter()
    try:
        image = np.asarray(converter.reformat(frame, format="rgb24", threads=1).to_ndarray(), np.uint8)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError(f"pixels of format {frame.format.name} cannot be converted: {_reason(error)}") from None
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _seconds(pts: int | None, base: Fraction | None) -> float | None:
    return None if pts is None or base is None else float(pts * base)


def _reason(error: Exception) -> str:
    """What ffmpeg says, without the path."""
    return str(getattr(error, "strerror", None) or error).split(":")[0]
