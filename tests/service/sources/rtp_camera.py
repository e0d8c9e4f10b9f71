"""A camera that speaks RTSP and sends H.264 over RTP as a test wants it: with packets lost, and with any clock.

Of RFC 2326, 3550 and 6184 no more than what a client needs to play; over UDP, or within the connection (TCP).
"""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from inkling.models.video import to_rgb

CLOCK_HZ = 90_000
PAYLOAD = 96


@dataclass(frozen=True, slots=True)
class Film:
    """Encoded pictures in the order in which they are sent, each as its NAL units, and what a decoder is to make of
    them: RGB (height, width, 3)."""

    pictures: list[list[bytes]]
    seen: list[NDArray[np.uint8]]

    @property
    def parameters(self) -> list[bytes]:
        """SPS and PPS."""
        return [unit for unit in self.pictures[0] if unit[0] & 31 in (7, 8)]


def encode(images: Sequence[NDArray[np.uint8]], rate: int, key_every: int, **options: str) -> Film:
    """H.264 without reordering, as cameras send it."""
    codec: Any = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = images[0].shape[1], images[0].shape[0], "yuv420p"
    codec.framerate, codec.time_base = Fraction(rate), Fraction(1, rate)
    codec.options = {"tune": "zerolatency", "g": str(key_every), "x264-params": "scenecut=0:sliced-threads=0"} | options
    reader: Any = av.CodecContext.create("h264", "r")
    reader.thread_count = 1
    pictures: list[list[bytes]] = []
    seen: list[NDArray[np.uint8]] = []
    for number in range(len(images) + 1):
        frame: Any = None  # at the end: what the encoder holds back
        if number < len(images):
            frame = av.VideoFrame.from_ndarray(images[number], format="rgb24").reformat(format="yuv420p")
            frame.pts = number
        for packet in codec.encode(frame):
            data = bytes(packet)
            pictures.append([unit for unit in re.split(b"\x00?\x00\x00\x01", data) if unit])
            seen += [to_rgb(shown) for shown in reader.decode(packet)]
    seen += [to_rgb(shown) for shown in reader.decode(None)]
    assert len(seen) == len(pictures) == len(images)
    return Film(pictures, seen)


class RtpCamera:
    """Plays a film to the clients that ask, over and over. A context manager; `port` is its RTSP port."""

    def __init__(
        self,
        film: Film,
        rate: float,
        *,
        clock: Callable[[float], float] = lambda at_s: at_s,
        lost: Callable[[int], bool] = lambda packet: False,
        times: int = 1,
        packet_bytes: int = 1200,
    ) -> None:
        """rate: pictures that are sent a second. clock: what its RTP clock says so many seconds after the first one.
        lost: whether the RTP packet of that number is lost on the way. times: the film is played; then nothing comes.
        packet_bytes: of an RTP packet's payload, at most.
        """
        self._film, self._rate, self._clock, self._lost, self._times = film, rate, clock, lost, times
        self._packet_bytes = packet_bytes
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.lost = 0
        """RTP packets."""
        self.hit: set[int] = set()
        """Pictures, by their number in the play, of which a packet was lost."""

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/live"

    def __enter__(self) -> RtpCamera:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        client.settimeout(0.2)
        waiting = b""
        send: Callable[[bytes], object] = client.sendall
        with client, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.bind(("127.0.0.1", 0))
            while not self._over.is_set():
                try:
                    data = client.recv(4096)
                except TimeoutError:
                    continue
                except OSError:
                    return
                if not data:
                    return
                waiting += data
                while (head := waiting.partition(b"\r\n\r\n"))[1]:
                    waiting = head[2]
                    begin = max(
                        head[0].find(word) for word in (b"OPTIONS", b"DESCRIBE", b"SETUP", b"PLAY", b"TEARDOWN")
                    )
                    request = head[0][max(begin, 0) :].decode("latin-1")
                    verb = request.split(" ", 1)[0]
                    number = re.search(r"CSeq: (\d+)", request)
                    more, body = "", ""
                    if verb == "DESCRIBE":
                        body = self._description()
                        more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
                    elif verb == "SETUP":
                        if ports := re.search(r"client_port=(\d+)", request):
                            to = ("127.0.0.1", int(ports[1]))
                            send = lambda packet, to=to: out.sendto(packet, to)  # type: ignore[misc]  # noqa: E731
                            own = out.getsockname()[1]
                            how = f"RTP/AVP;unicast;client_port={to[1]}-{to[1] + 1};server_port={own}-{own + 1}"
                        else:
                            send = lambda packet: client.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)  # noqa: E731
                            how = "RTP/AVP/TCP;unicast;interleaved=0-1"
                        more = f"Transport: {how}\r\nSession: 1;timeout=60\r\n"
                    elif verb == "PLAY":
                        more = "Session: 1\r\n"
                    answer = f"RTSP/1.0 200 OK\r\nCSeq: {number[1] if number else 0}\r\n{more}\r\n{body}"
                    with contextlib.suppress(OSError):
                        client.sendall(answer.encode())
                    if verb == "PLAY":
                        self._start(self._play, send)

    def _description(self) -> str:
        sets = ",".join(base64.b64encode(unit).decode() for unit in self._film.parameters)
        lines = (
            "v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 127.0.0.1", "t=0 0",
            f"m=video 0 RTP/AVP {PAYLOAD}", f"a=rtpmap:{PAYLOAD} H264/{CLOCK_HZ}",
            f"a=fmtp:{PAYLOAD} packetization-mode=1;sprop-parameter-sets={sets}", "a=control:track1", "",
        )  # fmt: skip
        return "\r\n".join(lines)

    def _play(self, send: Callable[[bytes], object]) -> None:
        begin_s, sequence = time.monotonic(), 0
        for number in range(self._times * len(self._film.pictures)):
            at_s = number / self._rate
            if self._over.wait(max(begin_s + at_s - time.monotonic(), 0)):
                return
            stamp = round(self._clock(at_s) * CLOCK_HZ) & 0xFFFFFFFF
            payloads = [
                payload
                for unit in self._film.pictures[number % len(self._film.pictures)]
                for payload in _payloads(unit, self._packet_bytes)
            ]
            for i, payload in enumerate(payloads):
                marker = 0x80 if i == len(payloads) - 1 else 0
                packet = struct.pack(">BBHII", 0x80, PAYLOAD | marker, sequence & 0xFFFF, stamp, 7) + payload
                if self._lost(sequence):
                    self.lost += 1
                    self.hit.add(number)
                else:
                    try:
                        send(packet)
                    except OSError:
                        return
                sequence += 1


def _payloads(unit: bytes, largest: int) -> Iterator[bytes]:
    """A NAL unit as it is, or in fragments (FU-A)."""
    if len(unit) <= largest:
        yield unit
        return
    for at in range(1, len(unit), largest):
        part = unit[at : at + largest]
        flags = (0x80 if at == 1 else 0) | (0x40 if at + largest >= len(unit) else 0)
        yield bytes([unit[0] & 0xE0 | 28, flags | unit[0] & 0x1F]) + part
