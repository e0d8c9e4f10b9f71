"""Where a client's frames come from: a video file, a camera of this machine, or a camera on the network.

    for pts_s, image in open_capture("rtsp://…"): ...           # image() gives RGB uint8 (height, width, 3)

A live source gives the newest frame each time and forgets those that nobody was quick enough to take.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from inkling.models.clean_decoding import STRICT, CleanDecoder
from inkling.models.errors import InklingError
from inkling.models.video import VideoReader, to_rgb
from inkling.service.protocol.image_binary import Pixels

WAIT_S = 10.0
"""How long a camera may take to answer, or to send its next frame."""

Shot = tuple[float, Callable[[], Pixels]]
"""Seconds from the first frame, and what makes the picture."""


class CaptureError(InklingError):
    """The source cannot be opened, or gives no more frames; its text says what to do."""


class Capture:
    """Frames of a source. live: they come in their own time, and cannot be had faster or later."""

    def __init__(self, frames: Iterator[Shot], live: bool, close: Callable[[], None]) -> None:
        self._frames = frames
        self.live = live
        self.close = close

    def __iter__(self) -> Iterator[Shot]:
        return self._frames

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def open_capture(source: str, wait_s: float = WAIT_S) -> Capture:
    """A number: that camera of this machine. With `://`: an address. Otherwise a file.

    Raises CaptureError or VideoError when it cannot be opened.
    """
    if source.isdecimal():
        return _Newest(lambda: _camera(int(source)), wait_s).capture()
    if "://" in source:
        return _Newest(lambda: _network(source, wait_s), wait_s).capture()
    if not Path(source).is_file():
        raise CaptureError(f"{source}: there is no such file; a camera is a number, or an address with ://")
    reader = VideoReader(source)
    return Capture(((pts_s, partial(to_rgb, frame)) for pts_s, frame in reader), live=False, close=reader.close)


class _Newest:
    """Reads a live source on a thread, because its reads may hang, and keeps the newest frame."""

    def __init__(self, opened: Callable[[], Iterator[Callable[[], Pixels]]], wait_s: float) -> None:
        self._opened = opened
        self._wait_s = wait_s
        self._changed = threading.Condition()
        self._shot: Shot | None = None
        self._over = False
        self._error: Exception | None = None

    def capture(self) -> Capture:
        threading.Thread(target=self._read, name="capture", daemon=True).start()
        return Capture(self._frames(), live=True, close=self._close)

    def _read(self) -> None:
        began_s: float | None = None
        try:
            for image in self._opened():
                now_s = time.monotonic()
                began_s = now_s if began_s is None else began_s
                with self._changed:
                    if self._over:
                        return
                    self._shot = now_s - began_s, image
                    self._changed.notify()
        except (InklingError, OSError, ValueError, av.FFmpegError, cv2.error) as error:
            self._error = error
        finally:
            with self._changed:
                self._over = True
                self._changed.notify()

    def _frames(self) -> Iterator[Shot]:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._shot is not None or self._over, self._wait_s):
                    raise CaptureError(f"the camera has sent nothing for {self._wait_s:g} s")
                shot, self._shot = self._shot, None
            if shot is None:
                if isinstance(self._error, InklingError):
                    raise self._error
                if self._error is not None:
                    raise CaptureError(f"the camera is lost: {self._error}") from self._error
                return
            yield shot

    def _close(self) -> None:
        with self._changed:
            self._over = True


def _camera(number: int) -> Iterator[Callable[[], Pixels]]:
    camera: Any = cv2.VideoCapture(number)
    try:
        if not camera.isOpened():
            raise CaptureError(f"there is no camera {number} here, or another program uses it")
        while True:
            good, image = camera.read()
            if not good:
                raise CaptureError(f"camera {number} gives no more frames")
            yield partial(_rgb, image)
    finally:
        camera.release()


def _network(address: str, wait_s: float) -> Iterator[Callable[[], Pixels]]:
    options = {"rtsp_transport": "tcp"} if address.startswith("rtsp") else {}
    try:
        container = av.open(address, options=options, timeout=wait_s)
    except (av.FFmpegError, OSError, ValueError) as error:
        # Never the address: there may be a password in it.
        raise CaptureError(f"the camera does not answer: {getattr(error, 'strerror', None) or error}") from None
    with container:
        stream = container.streams.video[0]
        stream.codec_context.options = STRICT
        decoder = CleanDecoder(stream)
        for packet in container.demux(stream):
            for frame in decoder.decode(packet):
                yield partial(to_rgb, frame)


def _rgb(image: Any) -> Pixels:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
