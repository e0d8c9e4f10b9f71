"""Video files as frames in time, the same for training and service: undamaged, times repaired, pictures upright, RGB.

with VideoReader(path) as video:
    for pts_s, frame in video:          # by presentation time; frames are not converted yet
        image = to_rgb(frame)           # uint8 (height, width, 3), its pixels square
    video.warnings                      # what was wrong with the file, if anything
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from inkling.models.clean_decoding import STRICT, CleanDecoder, Damage, said_of_damage
from inkling.models.errors import VideoError
from inkling.models.transport_stream import LossFinder, stride_of

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

LATEST_S = 600.0
"""The first frame comes at most so long after the sound; beyond that, the file's start is wrong."""

MANY_ERRORS = 100
"""Packets in a row that cannot be decoded before the rest is given up."""

RAW = ("h264", "hevc", "m4v", "mjpeg", "mpegvideo", "obu", "vc1")
"""Formats that are nothing but the pictures: no times, and at best a word about the rate."""

_WIDEST = 4
"""Pixels are made square up to this ratio of their sides; beyond it the file is wrong."""

_OTHERS = {
    b"\xff\xd8\xff": "a single picture (JPEG)",
    b"\x89PNG": "a single picture (PNG)",
    b"BM": "a single picture (BMP)",
    b"II*\0": "a single picture (TIFF)",
    b"WEBP": "a single picture (WebP)",
    b"WAVE": "sound (WAV)",
    b"ID3": "sound (MP3)",
    b"\xff\xfb": "sound (MP3)",
    b"fLaC": "sound (FLAC)",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
}
"""First bytes of what people send by mistake."""

_FIRST_PICTURE = 16 * 2**20
"""Bytes in which the first picture of a raw MJPEG file ends."""

_HEAD = 4096
"""Bytes in which a transport stream shows."""

_PADDING = 64 * 65536
"""libav pads rows to 64 pixels before it compares a frame with its limit; ours is exact."""

_local = threading.local()


class VideoReader:
    """The frames of a file, in the order in which they are shown. For one thread, as a context manager.

    Times are those that a player shows, which begins at 0 with whatever comes first, picture or sound; they always
    rise: a frame without a time follows the one before it at the file's frame rate, one that is out of order comes
    right after it, and where the clock is set back the time goes on. Damaged frames are left out. What was repaired,
    skipped or missing is in `warnings`, one sentence each; broken: why the file ends before its end, if it does.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_pixels: int = MAX_PIXELS,
        threads: int = 0,
        timeout_s: float = 10.0,
        fps: float | None = None,
        aspect: Fraction | None = None,
    ) -> None:
        """threads: of the decoder; 0: as many as there are cores. timeout_s: of each read. fps: in place of the file's
        own times. aspect: width by height of a pixel, in place of what the file says.

        Raises VideoError when there is no video in the file that can be read, or its frames have more pixels.
        """
        self.warnings: list[str] = []
        self.broken: str | None = None
        self.frames = 0
        """Frames given so far."""
        self._fps = fps
        self._file, losses = _watched(path)  # refuses what is known to be something else
        self._max_pixels = max_pixels
        limit = {"max_pixels": str(max_pixels + _PADDING)}
        try:
            self._container: Any = av.open(
                self._file or str(path),
                container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
                options=limit,
                timeout=timeout_s,
                metadata_errors="replace",
            )
        except (av.FFmpegError, ValueError, OSError) as error:
            self._close_file()
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
            codec.options = limit | STRICT
            self._decoder = CleanDecoder(self._stream, losses, aspect)
        except BaseException:
            self.close()
            raise

    @property
    def left_out(self) -> Counter[Damage]:
        """Damaged frames so far, by cause."""
        return self._decoder.left_out

    @property
    def pixels(self) -> int:
        """Of a frame, as the file says."""
        codec = self._stream.codec_context
        return int(codec.width * codec.height)

    @property
    def duration_s(self) -> float | None:
        """What the file says of its length; it may say nothing, or lie."""
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return None if container.duration is None else container.duration / av.time_base

    def __iter__(self) -> Iterator[tuple[float, av.VideoFrame]]:
        """(pts_s, frame). Raises VideoError when not a single frame can be decoded, or one is too large."""
        rate = self._rate()
        start_us = self._container.start_time
        times = Times(1 / rate, None if start_us is None else start_us / av.time_base)
        timeless = self._fps is not None or self._container.format.name in RAW
        for frame in self._decoded():
            if frame.width * frame.height > self._max_pixels:
                raise VideoError(f"a frame of {frame.width} x {frame.height} pixels is too large")
            base = frame.time_base or self._stream.time_base
            pts_s = (
                self.frames / rate if timeless else times.place(_seconds(frame.pts, base), _seconds(frame.dts, base))
            )
            self.frames += 1
            yield pts_s, frame
        if not self.frames:
            why = f"one may have at most {self._max_pixels} pixels"
            raise VideoError("; ".join(["no frame can be decoded", why, *said_of_damage(self.left_out)]))
        self.warnings += said_of_damage(self.left_out)
        if timeless and self._fps is None:
            self.warnings.append(f"the file has no times: {rate:g} frames a second are assumed; `fps` says otherwise")
        self.warnings += times.warnings()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """The clean frames, to the end of the file or to where it breaks off."""
        packets = self._container.demux(self._stream)
        while True:
            packet: av.Packet[Any] | None = None
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (av.FFmpegError, OSError) as error:
                self._break(f"the file breaks off after {self.frames} frames: {_reason(error)}")
            try:
                yield from self._decoder.decode(packet)
            except EOFError:
                return
            if self._decoder.failed >= MANY_ERRORS and self._decoder.error is not None:
                reason = _reason(self._decoder.error)
                self._break(f"the rest after frame {self.frames} cannot be decoded: {reason}")
                return
            if packet is None:
                return

    def _break(self, why: str) -> None:
        self.broken = why
        self.warnings.append(why)

    def _rate(self) -> float:
        """Frames a second, as far as it is known: of a raw stream the decoder knows better than the demuxer."""
        if self._fps is not None:
            return self._fps
        stream = self._stream
        own: Fraction | None = stream.codec_context.framerate if self._container.format.name in RAW else None
        rates = (float(rate) for rate in (own, stream.average_rate, stream.guessed_rate) if rate)
        return next((rate for rate in rates if 1 <= rate <= 1000), 1 / USUAL_INTERVAL_S)

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._container.close()
        self._close_file()

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Watched:
    """A file as ffmpeg reads it, whose bytes are looked at on their way."""

    def __init__(self, file: BinaryIO, losses: LossFinder) -> None:
        self._file = file
        self._losses = losses
        self.seek, self.tell, self.close = file.seek, file.tell, file.close

    def read(self, size: int) -> bytes:
        place = self._file.tell()
        data = self._file.read(size)
        self._losses.feed(data, place)
        return data


def _watched(path: str | Path) -> tuple[_Watched | None, LossFinder | None]:
    """The open file, and what finds losses in it, if it is a transport stream."""
    try:
        file = Path(path).open("rb")  # noqa: SIM115
        head = file.read(_HEAD)
    except OSError as error:
        raise VideoError(f"the file cannot be read as a video: {_reason(error)}") from None
    if (other := known_as(head)) is not None and not _goes_on(file, head):
        file.close()
        raise VideoError(f"this is {other}, not a video")
    stride = stride_of(head)
    if stride is None:
        file.close()
        return None, None
    file.seek(0)
    losses = LossFinder(*stride)
    return _Watched(file, losses), losses


def known_as(head: bytes) -> str | None:
    """What a file that is no video is, by its first bytes; a JPEG may be the first of many."""
    kind = head[8:12] if head.startswith(b"RIFF") else head  # a RIFF file says only then what it is
    return next((name for begin, name in _OTHERS.items() if kind.startswith(begin)), None)


def _goes_on(file: BinaryIO, head: bytes) -> bool:
    """Whether another JPEG follows the first one, as in a raw MJPEG file, or a PNG moves."""
    if head.startswith(b"\x89PNG"):
        return b"acTL" in head
    if not head.startswith(b"\xff\xd8\xff"):
        return False
    file.seek(0)
    return b"\xff\xd9\xff\xd8" in file.read(_FIRST_PICTURE)


class Times:
    """The times of a file's frames, made to begin at 0 or later and to rise. Pure.

    Where presentation times are out of order more often than decoding times, the latter are taken, as ffmpeg does: old
    containers have no others.
    """

    def __init__(self, interval_s: float, start_s: float | None = None) -> None:
        """start_s: what a player counts from; None: the first frame."""
        self._interval_s = interval_s
        self._start_s = start_s
        self._last_s: float | None = None
        self._shift_s = 0.0
        self._previous: dict[str, float] = {}
        self._faults = {"pts": 0, "dts": 0}
        self._counts = {"missing": 0, "unordered": 0, "jumps": 0}

    def place(self, pts_s: float | None, dts_s: float | None) -> float:
        """When the next frame is shown, in seconds."""
        given = self._best(pts_s, dts_s)
        if self._last_s is None:
            before_s = 0.0 if given is None or self._start_s is None else given - self._start_s
            self._last_s = before_s if 0 <= before_s <= LATEST_S else 0.0
            self._shift_s = self._last_s - (given or 0.0)
            self._counts["missing"] += given is None
            return self._last_s
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
    """A decoded frame of any pixel format as contiguous uint8 RGB (height, width, 3), upright, its pixels square.

    Where pixels are wider than high (`frame.opaque`, from the decoder) the picture is widened, else made higher.
    May be called from any thread. Raises VideoError for a pixel format that cannot be converted.
    """
    # One converter for each thread: those of the frames themselves would be built anew for each.
    converter: VideoReformatter | None = getattr(_local, "converter", None)
    if converter is None:
        converter = _local.converter = VideoReformatter()
    try:
        image = np.asarray(converter.reformat(frame, *_square(frame), format="rgb24", threads=1).to_ndarray(), np.uint8)
    except (av.FFmpegError, ValueError, OSError) as error:
        raise VideoError(f"pixels of format {frame.format.name} cannot be converted: {_reason(error)}") from None
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _square(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height with square pixels."""
    aspect = frame.opaque
    if not isinstance(aspect, Fraction) or aspect == 1 or not 1 / _WIDEST <= aspect <= _WIDEST:
        return frame.width, frame.height
    if aspect > 1:
        return round(frame.width * aspect), frame.height
    return frame.width, round(frame.height / aspect)


def _seconds(pts: int | None, base: Fraction | None) -> float | None:
    return None if pts is None or base is None else float(pts * base)


def _reason(error: Exception) -> str:
    """What ffmpeg says, without the path."""
    return str(getattr(error, "strerror", None) or error).split(":")[0]
