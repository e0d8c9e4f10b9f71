"""Open a live source: RTSP, HLS, files over HTTP and devices with ffmpeg, pictures over HTTP without it.

Runs in the process that fetches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import certifi
from av.container import InputContainer
from av.stream import Discard

from inkling.models.clean_decoding import STRICT, CleanDecoder
from inkling.models.transport_stream import LossFinder, stride_of
from inkling.models.video import CONTAINERS, MANY_ERRORS
from inkling.service.protocol.errors import ServiceError
from inkling.service.sources.address import PORTS, Address
from inkling.service.sources.camera_pictures import CameraPictures, polled, streamed
from inkling.service.sources.failure import Failure, from_av, resolve
from inkling.service.sources.fetch_request import FetchRequest
from inkling.service.sources.http_reader import ResponseBody, SeekableBody, SourceClient
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.pipe import Fetching
from inkling.service.sources.rtp_losses import OVER_TCP, RtpLosses
from inkling.service.sources.sniff import gives_pictures, index_is_last
from inkling.service.sources.spool import fetch_whole
from inkling.service.sources.whole_pictures import WholePictures

_HLS_TYPES = ("application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl")
_CLOCKLESS = "mjpeg"
"""A format whose times ffmpeg makes up from a frame rate: arrival is better."""
_HEAD = 188 * 8
"""Bytes in which a transport stream shows; a camera that sends less at once is none."""


@dataclass(slots=True)
class LiveInput:
    """An open source. paced: it delivers ahead of time, in pieces, and is to be shown in its own."""

    container: InputContainer
    stream: Any
    decoder: CleanDecoder
    max_pixels: int
    paced: bool
    web: SourceClient | None = None
    rtp: RtpLosses | None = None

    @property
    def format(self) -> str:
        return self.container.format.name

    @property
    def finite(self) -> bool:
        """Whether its end is an end, and not a loss: of a playlist that says so, and of any file that came whole."""
        return self.paced and (self.format != "hls" or self.container.duration is not None)

    @property
    def joined(self) -> bool:
        """Whether it may begin in the middle of what it refers to."""
        return not self.stream.codec_context.codec.intra_only

    def frames(self, look: Callable[[], None]) -> Iterator[tuple[float | None, av.VideoFrame]]:
        """(media_s or None, frame) until it ends. look: called for each packet, also while no frame is clean.

        Raises Failure.
        """
        clockless = self.format == _CLOCKLESS
        packets = self.container.demux(self.stream)
        if self.rtp is not None:
            packets = iter(WholePictures(self.rtp.marked(packets)))
        while True:
            try:
                packet = next(packets)
            except (StopIteration, EOFError):
                return
            except (av.FFmpegError, OSError, ValueError) as error:  # after it the generator would say that it is over
                raise from_av(error) from None
            try:
                frames = self.decoder.decode(packet)
            except EOFError:
                return
            look()
            if self.decoder.failed >= MANY_ERRORS:
                raise Failure(Cause.UNREADABLE, "the video cannot be decoded")
            for frame in frames:
                if frame.width * frame.height > self.max_pixels:
                    raise Failure(Cause.UNREADABLE, f"frames of {frame.width} x {frame.height} pixels are too large")
                base: Fraction | None = frame.time_base or self.stream.time_base
                timed = not clockless and frame.pts is not None and base is not None
                yield (float(frame.pts * base) if timed else None), frame  # type: ignore[operator]

    def close(self) -> None:
        self.container.close()
        if self.web is not None:
            self.web.close()


def open_live(request: FetchRequest, address: Address, told: Callable[[Fetching], None]) -> LiveInput | CameraPictures:
    """Connect, and find the video. told: what takes long meanwhile. Raises Failure."""
    try:
        request.policy.admit(address)
        if address.scheme in ("http", "https"):
            return _web(request, address, told)
        if address.scheme == "device":
            path = str(request.policy.device(address))
            return _live(request, _open(path, request, format="v4l2"), paced=False)
        url = address.at(
            request.policy.choose(address.host, resolve(address.host, address.port or PORTS[address.scheme]))
        )
    except ServiceError as error:
        raise Failure(Cause.REFUSED, str(error)) from None
    options = {
        "rtsp_transport": request.transport,
        "allowed_media_types": "video",
        "timeout": str(round(request.read_s * 1e6)),
        "protocol_whitelist": "rtsp,rtsps,tcp,tls,udp,rtp,srtp,crypto",
        "analyzeduration": "500000",  # frames that are looked at first come late, all at once
        "fpsprobesize": "0",
    }
    if address.scheme == "rtsps" and request.policy.verify_tls:
        options |= {
            "tls_verify": "1",
            "ca_file": str(request.policy.ca_file or certifi.where()),
            "verifyhost": address.host,
        }
    if request.transport == "tcp":
        options |= OVER_TCP
    rtp = RtpLosses.watch()
    return _live(request, _open(url, request, options=options), paced=False, rtp=rtp)


def _web(request: FetchRequest, address: Address, told: Callable[[Fetching], None]) -> LiveInput | CameraPictures:
    web = SourceClient(address, request.policy, resolve, request.read_s)
    try:
        if request.interval_s is not None:
            return CameraPictures(request, "pictures", polled(web, address.url, request.interval_s), web)
        body = web.open_file(address.url)
        if gives_pictures(body):
            return CameraPictures(request, "mpjpeg", streamed(body), web)
        losses: LossFinder | None = None
        playlist = body.type in _HLS_TYPES or body.name.partition("?")[0].lower().endswith((".m3u8", ".m3u"))
        options = {"protocol_whitelist": "http,https,tcp,tls,crypto,data", "analyzeduration": "1000000"}
        if playlist:  # all of ffmpeg's own connections are replaced by ours, so it must not keep any
            options |= {"http_persistent": "0", "http_multiple": "0", "extension_picky": "0"}
            container = _open(body, request, format="hls", options=options, io_open=lambda url, *_: _segment(web, url))
        else:
            options |= {"format_whitelist": CONTAINERS}
            if stride := stride_of(body.peek(_HEAD)):
                body.losses = losses = LossFinder(*stride)
            container = _open(_seekable(body, request, told), request, options=options, io_open=_nothing)
        return _live(request, container, paced=container.format.name != _CLOCKLESS, web=web, losses=losses)
    except BaseException:
        web.close()
        raise


def _seekable(body: ResponseBody, request: FetchRequest, told: Callable[[Fetching], None]) -> ResponseBody | BinaryIO:
    """The body, or a copy of all of it where ffmpeg must read its end first and its server gives no parts."""
    if isinstance(body, SeekableBody) or not index_is_last(body):
        return body

    def say(size: int, length: int | None) -> None:
        of_all = "" if length is None else f" of {length / 1e6:.0f}"
        told(Fetching(f"the recording is fetched first, since its index is at its end: {size / 1e6:.0f}{of_all} MB"))

    return fetch_whole(body, request.spool, say)


def _segment(web: SourceClient, url: str) -> ResponseBody:
    return web.open(url)


def _nothing(url: str, *_: object) -> ResponseBody:
    raise Failure(Cause.REFUSED, "the file names another one")


def _open(
    what: str | ResponseBody | BinaryIO, request: FetchRequest, *, options: dict[str, str] | None = None, **more: Any
) -> InputContainer:
    options = {"max_pixels": str(request.max_pixels), **(options or {})}
    times = (request.open_s, request.read_s)
    try:
        container: InputContainer = av.open(what, options=options, timeout=times, metadata_errors="replace", **more)
    except (av.FFmpegError, OSError, ValueError, Failure) as error:
        raise from_av(error) from None
    return container


def _choose(request: FetchRequest, container: InputContainer) -> Any:
    """The video stream to watch, None: there is none. Of a playlist's variants the smallest that is large enough."""
    chosen: Any = container.streams.best("video")
    variants = [stream for stream in container.streams.video if stream.codec_context is not None]
    if container.format.name == "hls" and len(variants) > 1:
        enough = [one for one in variants if one.height >= request.height and one.width >= request.width]
        chosen = min(enough, key=_pixels) if enough else max(variants, key=_pixels)
    for stream in container.streams:
        if stream is not chosen:
            stream.discard = Discard.all  # else they would be fetched too
    return chosen


def _pixels(stream: Any) -> int:
    return int(stream.width * stream.height)


def _live(
    request: FetchRequest,
    container: InputContainer,
    *,
    paced: bool,
    web: SourceClient | None = None,
    losses: LossFinder | None = None,
    rtp: RtpLosses | None = None,
) -> LiveInput:
    stream = _choose(request, container)
    if stream is None or stream.codec_context is None:
        container.close()
        raise Failure(Cause.UNREADABLE, "there is no video in it, or of a kind that is not known here")
    codec = stream.codec_context
    if codec.width * codec.height > request.max_pixels:
        container.close()
        raise Failure(Cause.UNREADABLE, f"frames of {codec.width} x {codec.height} pixels are too large")
    codec.thread_count = 1  # more would hold frames back
    codec.options = {"max_pixels": str(request.max_pixels), **STRICT}
    aspect = None if request.aspect is None else Fraction(request.aspect).limit_denominator(1000)
    return LiveInput(container, stream, CleanDecoder(stream, losses, aspect), request.max_pixels, paced, web, rtp)
