"""Write pictures as a film: H.264 where this machine has it, else MPEG-4."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from inkling.models.errors import InklingError

BASE = Fraction(1, 60_000)
"""Seconds of one tick of the film's clock; MPEG-4 has at most 65535 in a second."""
ENDINGS = (".mp4", ".mov", ".mkv")
CODECS = (("libx264", {"preset": "veryfast", "crf": "20"}), ("mpeg4", {"qscale": "3"}))
"""The first that is there is taken."""


class FilmError(InklingError):
    """The film cannot be written; its text says what to do."""


def check_name(path: Path) -> None:
    """Raises FilmError for a name that is no film's."""
    if path.suffix.lower() not in ENDINGS:
        raise FilmError(f"{path}: a film is written as {', '.join(ENDINGS)}; choose such a name")


class FilmWriter:
    """A film of pictures, each with its own time; for one thread, as a context manager.

    It is written under another name and has its own once it is whole: on an error nothing is left.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        """path: ends in one of `ENDINGS`. rate: about how many pictures a second there are. Raises FilmError."""
        check_name(path)
        self.pictures = 0
        self._path, self._rate = path, rate
        self._part = path.with_name(f".{path.stem}.part{path.suffix}")
        try:
            self._part.touch()  # what cannot be written is known at once
            self._file: Any = av.open(str(self._part), "w")
        except (av.FFmpegError, OSError) as error:
            raise FilmError(f"{path}: cannot be written: {_reason(error)}") from None
        self._stream: Any = None
        self._last = -1

    def add(self, picture: NDArray[np.uint8], pts_s: float) -> None:
        """The next picture, RGB (height, width, 3); all have one size, of which an odd last row or column is cut off.

        Raises FilmError.
        """
        height, width = (side // 2 * 2 for side in picture.shape[:2])
        if not height or not width:
            raise FilmError(
                f"a film has pictures of at least 2 x 2 pixels, not {picture.shape[1]} x {picture.shape[0]}"
            )
        try:
            if self._stream is None:
                self._stream = self._open(width, height)
            if (width, height) != (self._stream.width, self._stream.height):
                now, first = f"{width} x {height}", f"{self._stream.width} x {self._stream.height}"
                raise FilmError(f"the film changes its size at {pts_s:.2f} s, from {first} to {now}: cut it there")
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture[:height, :width]), format="rgb24")
            self._last = frame.pts = max(round(pts_s / BASE), self._last + 1)
            frame.time_base = BASE
            self._file.mux(self._stream.encode(frame))
        except (av.FFmpegError, OSError) as error:
            raise FilmError(f"{self._path}: cannot be written: {_reason(error)}") from None
        self.pictures += 1

    def _open(self, width: int, height: int) -> Any:
        name, options = next((name, options) for name, options in CODECS if name in av.codecs_available)
        stream: Any = self._file.add_stream(name, rate=self._rate, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = BASE
        return stream

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._stream is not None:
                self._file.mux(self._stream.encode())
            self._file.close()
            if kind is None and self._stream is not None:
                self._part.replace(self._path)
        except (av.FFmpegError, OSError) as problem:
            raise FilmError(f"{self._path}: cannot be written: {_reason(problem)}") from None
        finally:
            self._part.unlink(missing_ok=True)


def _reason(error: Exception) -> str:
    """What ffmpeg says, without the path."""
    return str(getattr(error, "strerror", None) or error).split(":")[0]
