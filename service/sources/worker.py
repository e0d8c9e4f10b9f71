"""The process that fetches one source (`python -m inkling.service.sources.worker`): a request in, frames out.

A process of its own, because a connect, a read or a decoder that hangs can only be killed, and because what a
stranger's video does to a decoder must not happen to the server. It ends with the connection, and when the server does.
"""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction

import av.logging
import cv2

from inkling.models.clean_decoding import Damage
from inkling.models.errors import VideoError
from inkling.models.resize import Image, turned
from inkling.models.video import VideoReader, to_rgb
from inkling.service.child_process import data_bytes
from inkling.service.inputs.picture_fit import kept
from inkling.service.protocol.errors import ServiceError
from inkling.service.sources.address import Address
from inkling.service.sources.camera_pictures import CameraPictures
from inkling.service.sources.damage_report import DamageReport
from inkling.service.sources.failure import Failure
from inkling.service.sources.fetch_request import FetchRequest
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.live_input import open_live
from inkling.service.sources.pace import Pacer
from inkling.service.sources.pipe import Damaged, Ended, Failed, FetchedFrame, Looped, Opened, WorkerMessage, pack
from inkling.service.sources.timestamps import USUAL_S

MOST_BYTES = 2**30
"""More than any video takes to decode, and less than a file made to exhaust the memory does."""
STACK_BYTES = 512 * 1024
WARNINGS = 5

Send = Callable[[WorkerMessage], None]


def fetch(request: FetchRequest, send: Send) -> None:
    """Fetch until it ends or fails; everything is said through `send`, which blocks while the server is not ready."""
    address: Address | None = None
    try:
        address = Address.parse(request.url)
        (_play if address.scheme == "file" else _watch)(request, address, send)
    except BrokenPipeError:  # the server has no more use for it
        raise
    except Failure as error:
        send(Failed(error.cause, address.scrub(str(error)) if address else str(error)))
    except VideoError as error:
        send(Failed(Cause.UNREADABLE, str(error)))
    except ServiceError as error:
        send(Failed(Cause.REFUSED, str(error)))
    except MemoryError:
        send(Failed(Cause.MEMORY, "decoding it takes more memory than it was given"))


def _watch(request: FetchRequest, address: Address, send: Send) -> None:
    if address.scheme in ("rtsp", "rtsps"):
        _NoRedirect.watch(send)
    live = open_live(request, address, send)
    try:
        if isinstance(live, CameraPictures):
            for message in live.messages():
                send(message)
            return
        codec = live.stream.codec_context
        send(Opened(codec.width, codec.height, live.format, live=True))
        pacer = Pacer() if live.paced else None
        report = DamageReport(joined=live.joined)
        with _telling(report, live.decoder.left_out, send) as look:
            for media_s, frame in live.frames(look):
                report.begin()
                if pacer is not None and media_s is not None:
                    time.sleep(pacer.wait_s(media_s, time.monotonic()))
                arrived_s = time.monotonic()
                send(_fetched(media_s, arrived_s, to_rgb(frame), request))
        if not live.finite:
            raise Failure(Cause.CLOSED, "the other side ended the stream")
        send(Ended())
    finally:
        live.close()


def _play(request: FetchRequest, address: Address, send: Send) -> None:
    path = request.policy.file(address)
    pacer = Pacer() if request.pace == "real" else None
    aspect = None if request.aspect is None else Fraction(request.aspect).limit_denominator(1000)
    began_s = 0.0  # this round, on the line of all of them
    while True:
        last_s, interval_s = 0.0, USUAL_S
        with (
            VideoReader(
                path, max_pixels=request.max_pixels, threads=1, timeout_s=request.read_s, fps=request.fps, aspect=aspect
            ) as video,
            _telling(DamageReport(joined=False), video.left_out, send) as look,
        ):
            for number, (pts_s, frame) in enumerate(video):
                if not number:
                    send(Opened(frame.width, frame.height, address.scheme, live=False))
                else:
                    last_s, interval_s = pts_s, pts_s - last_s
                look()
                if pacer is not None:
                    time.sleep(pacer.wait_s(began_s + pts_s, time.monotonic()))
                arrived_s = time.monotonic()
                send(_fetched(pts_s, arrived_s, to_rgb(frame), request))
        if video.broken is not None:
            raise Failure(Cause.UNREADABLE, video.broken)
        if not request.loop:
            send(Ended(tuple(video.warnings[:WARNINGS])))
            return
        began_s += last_s + interval_s  # the last frame is shown for as long as the one before it
        send(Looped())


@contextlib.contextmanager
def _telling(report: DamageReport, left_out: Counter[Damage], send: Send) -> Iterator[Callable[[], None]]:
    """Gives what is called again and again to tell the server of damage; the rest of it is told at the end."""

    def look(last: bool = False) -> None:
        if news := report.news(left_out, time.monotonic(), last=last):
            send(Damaged(news))

    try:
        yield look
    finally:
        look(last=True)


def _fetched(media_s: float | None, arrived_s: float, picture: Image, request: FetchRequest) -> FetchedFrame:
    picture = turned(picture, request.rotate)
    image = kept(picture, request.height, request.width, request.fit)
    return FetchedFrame(media_s, arrived_s, image, (picture.shape[1], picture.shape[0]))


class _NoRedirect(logging.Handler):
    """Ends the process where ffmpeg is about to follow an RTSP redirect.

    It would, to whatever host, and has no option against that; but it says so first, from within the call that then
    connects. What is raised here it would not see.
    """

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        if "Redirecting to" in record.getMessage():
            with contextlib.suppress(BrokenPipeError):
                self._send(Failed(Cause.REFUSED, "the camera sends on to another address; give that one as the source"))
            _end_at_once()

    @classmethod
    def watch(cls, send: Send) -> None:
        """Listen to what ffmpeg says of RTSP, from now on."""
        logger = logging.getLogger("libav.rtsp")
        logger.setLevel(logging.INFO)
        logger.addHandler(cls(send))
        logging.getLogger("libav").propagate = False
        av.logging.set_level(av.logging.INFO)


def _heed_server(granted: threading.Event) -> None:
    """Any byte: the server has seen how large the pictures are, and given what they take. Its end ends this process
    too, at once, whatever else hangs."""
    while os.read(0, 4096):
        granted.set()
    _end_at_once()


def _end_at_once() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Do the one request of this process."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cv2.setNumThreads(1)
    request = FetchRequest.model_validate_json(sys.stdin.buffer.readline())
    threading.stack_size(STACK_BYTES)
    limit = data_bytes() + STACK_BYTES + request.memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, max(limit, MOST_BYTES)))
    granted = threading.Event()
    threading.Thread(target=_heed_server, args=(granted,), daemon=True).start()
    with contextlib.suppress(BrokenPipeError), os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)  # what a library prints must not get between the pictures

        def send(message: WorkerMessage) -> None:
            for part in pack(message):
                out.write(part)
            out.flush()
            if isinstance(message, Opened):
                granted.wait()

        fetch(request, send)


if __name__ == "__main__":
    main()
