"""A camera that gives its pictures one by one over HTTP: as a stream of them, or whenever it is asked for one."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from inkling.models.clean_decoding import Damage
from inkling.models.resize import Image, turned
from inkling.service.inputs.frame_mapper import reduction, upright
from inkling.service.inputs.image_decoder import decode_image
from inkling.service.inputs.picture_fit import kept
from inkling.service.protocol.errors import BadImage
from inkling.service.protocol.image_facts import ImageFile
from inkling.service.protocol.image_file import image_file
from inkling.service.sources.damage_report import DamageReport
from inkling.service.sources.failure import Failure
from inkling.service.sources.fetch_request import FetchRequest
from inkling.service.sources.http_reader import ResponseBody, SourceClient
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.multipart import BadMultipart, MultipartParser
from inkling.service.sources.pipe import Damaged, FetchedFrame, Opened

MAX_PICTURE_BYTES = 16 * 2**20
"""Largest file of one picture; a JPEG of 4096 x 4096 pixels full of detail has 12 MB."""
ONE_PICTURE = (
    "the address gives a single picture, not a video: set interval_s, the seconds from one picture to the next, and it "
    "is asked for again and again"
)
MANY_DAMAGED = 8
"""So many before the first whole one, and it is no camera that can be watched. Later it is one with a bad hour."""
_READ_BYTES = 2**16
_COARSE_S = 1.0
"""Last-Modified has whole seconds: where pictures come closer together than this it cannot tell them apart."""


@dataclass(frozen=True, slots=True)
class CameraFile:
    """A picture as it came. arrived_s: `time.monotonic()` of its last byte. media_s: the camera's own time."""

    data: bytes
    arrived_s: float
    media_s: float | None = None
    whole: bool = True


class CameraPictures:
    """What one such camera gives, and what is to be told of it. For one thread.

    left_out: damaged pictures, by cause.
    """

    def __init__(self, request: FetchRequest, format: str, files: Iterator[CameraFile], web: SourceClient) -> None:
        self.left_out: Counter[Damage] = Counter()
        self._request = request
        self._format = format
        self._files = files
        self._web = web

    def messages(self) -> Iterator[Opened | FetchedFrame | Damaged]:
        """`Opened` with the first picture, then pictures, and of damage now and then. Ends with a Failure only."""
        opened = False
        report = DamageReport(joined=False)
        try:
            for file in self._files:
                picture: tuple[ImageFile, FetchedFrame] | None = None
                try:
                    picture = self._picture(file)
                except BadImage as error:
                    self.left_out[Damage.BROKEN if file.whole else Damage.LOST] += 1
                    if not opened and self.left_out.total() >= MANY_DAMAGED:
                        raise Failure(Cause.UNREADABLE, f"no picture can be decoded: {error}") from None
                if news := report.news(self.left_out, time.monotonic()):
                    yield Damaged(news)
                if picture is None:
                    continue
                facts, frame = picture
                if not opened:
                    opened = True
                    yield Opened(facts.width, facts.height, self._format, live=True)
                yield frame
        except Failure:
            if news := report.news(self.left_out, time.monotonic(), last=True):
                yield Damaged(news)
            raise

    def close(self) -> None:
        self._web.close()

    def _picture(self, file: CameraFile) -> tuple[ImageFile, FetchedFrame]:
        """What is needed of it. Raises BadImage, Failure."""
        wanted = self._request
        facts = image_file(file.data)
        if facts.pixels > wanted.max_pixels:
            raise Failure(Cause.UNREADABLE, f"pictures of {facts.width} x {facts.height} pixels are too large")
        height, width = facts.height, facts.width
        fit = "letterbox" if wanted.fit == "within" else wanted.fit
        factor = reduction(height, width, wanted.height, wanted.width, fit) if "jpeg" in facts.coding else 1
        image = upright(decode_image(memoryview(file.data), facts, factor), facts.orientation)
        image = turned(_square(image, wanted.aspect), wanted.rotate)
        size = (height, width) if facts.orientation in (5, 6, 7, 8) else (width, height)
        size = _square_size(*size, wanted.aspect)
        size = size[::-1] if wanted.rotate in (90, 270) else size
        image = kept(image, wanted.height, wanted.width, wanted.fit)
        return facts, FetchedFrame(file.media_s, file.arrived_s, image, size)


def streamed(body: ResponseBody) -> Iterator[CameraFile]:
    """The pictures of an answer that does not end. Raises Failure, at its end too."""
    parser = MultipartParser(body.content_type, MAX_PICTURE_BYTES)
    while data := body.read(_READ_BYTES):
        arrived_s = time.monotonic()
        try:
            for part in parser.feed(data):
                yield CameraFile(part.data, arrived_s, part.timestamp_s, part.whole)
        except BadMultipart as error:
            raise Failure(Cause.UNREADABLE, str(error)) from None
    if parser.parts == 1 and not body.type.startswith("multipart/"):
        raise Failure(Cause.UNREADABLE, ONE_PICTURE)
    raise Failure(Cause.CLOSED, "the other side ended the stream")


def polled(web: SourceClient, url: str, interval_s: float) -> Iterator[CameraFile]:
    """The picture at an address, asked for again and again. Raises Failure.

    One that is the same as before is a picture of the camera all the same, unless its server says that it has no other
    (status 304).
    """
    known: dict[str, str] = {}
    due_s = time.monotonic()
    while True:
        body = web.open_if_new(url, known)
        if body is not None:
            try:
                known = _validators(body, interval_s)
                data = _whole(body)
            finally:
                body.close()
            yield CameraFile(data, time.monotonic())
        due_s = max(due_s + interval_s, time.monotonic())
        time.sleep(max(due_s - time.monotonic(), 0.0))


def _whole(body: ResponseBody) -> bytes:
    kind = body.type.partition("/")[0]
    if kind in ("multipart", "video"):
        raise Failure(Cause.UNREADABLE, f"the address gives {body.type}, not single pictures: leave interval_s out")
    if kind in ("text", "audio") or body.type in ("application/json", "application/xml"):
        raise Failure(Cause.UNREADABLE, f"the address gives {body.type}, not a picture")
    data = bytearray()
    while chunk := body.read(_READ_BYTES):
        data += chunk
        if len(data) > MAX_PICTURE_BYTES:
            raise Failure(Cause.UNREADABLE, f"the address gives more than {MAX_PICTURE_BYTES} bytes, not a picture")
    return bytes(data)


def _validators(body: ResponseBody, interval_s: float) -> dict[str, str]:
    """The headers that ask for another picture than this one."""
    if body.etag:
        return {"if-none-match": body.etag}
    return {"if-modified-since": body.modified} if body.modified and interval_s >= _COARSE_S else {}


def _square(image: Image, aspect: float | None) -> Image:
    """The picture with square pixels, where they are `aspect` times as wide as high."""
    height, width = image.shape[:2]
    if (size := _square_size(width, height, aspect)) == (width, height):
        return image
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _square_size(width: int, height: int, aspect: float | None) -> tuple[int, int]:
    """(width, height) of such a picture with square pixels."""
    if aspect is None:
        return width, height
    return (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
