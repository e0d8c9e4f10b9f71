"""Real servers that sources connect to: an MJPEG camera, plain HTTP, one that never answers; and video files."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2

from tests.support import picture, skip_unless

WAIT_S = 30.0

Answer = Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error."""


@contextlib.contextmanager
def serving(answer: Answer, port: int = 0, certificate: Path | None = None) -> Iterator[int]:
    """An HTTP (with `certificate` HTTPS) server here whose GET is answered by `answer`; yields its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with contextlib.suppress(OSError):
                answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with _Server(("127.0.0.1", port), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def reply(request: BaseHTTPRequestHandler, body: bytes, kind: str = "video/mp4", status: int = 200) -> None:
    """One whole answer."""
    request.send_response(status)
    request.send_header("content-type", kind)
    request.send_header("content-length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def reply_in_parts(request: BaseHTTPRequestHandler, body: bytes, kind: str = "video/mp4") -> None:
    """The whole, or what is asked for from some byte on."""
    asked = request.headers.get("range", "")
    begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
    request.send_response(206 if asked else 200)
    request.send_header("content-type", kind)
    request.send_header("accept-ranges", "bytes")
    request.send_header("content-length", str(len(body) - begin))
    if asked:
        request.send_header("content-range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
    request.end_headers()
    request.wfile.write(body[begin:])


def send_to(request: BaseHTTPRequestHandler, where: str) -> None:
    """A redirect."""
    request.send_response(302)
    request.send_header("location", where)
    request.send_header("content-length", "0")
    request.end_headers()


@dataclass
class Camera:
    """An MJPEG camera. Its fields may be changed while it runs; `off` breaks its connections and takes it away."""

    width: int = 64
    height: int = 48
    rate_hz: float = 30.0
    frozen: bool = False
    hidden: bool = False
    """Answers 404."""
    port: int = 0
    requests: int = 0
    _off: threading.Event = field(default_factory=threading.Event)
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/mjpeg"

    def on(self) -> None:
        """Listen, on the port that it had before."""
        self._off.clear()
        self.port = self._stack.enter_context(serving(self._answer, self.port))

    def off(self) -> None:
        self._off.set()
        self._stack.close()

    def __enter__(self) -> Camera:
        self.on()
        return self

    def __exit__(self, *_: object) -> None:
        self.off()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        if self.hidden:
            reply(request, b"", status=404)
            return
        request.send_response(200)
        request.send_header("content-type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        number = 0
        while not self._off.is_set():
            if not self.frozen:
                body = jpeg(self.height, self.width, number)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
                request.wfile.write(head.encode() + body + b"\r\n")
                number += 1
            self._off.wait(1 / self.rate_hz)
        request.connection.shutdown(socket.SHUT_RDWR)


def jpeg(height: int, width: int, seed: int = 0) -> bytes:
    """A picture as a JPEG file."""
    done, data = cv2.imencode(".jpg", picture(height, width, seed))
    assert done
    return bytes(data.tobytes())


@contextlib.contextmanager
def silent(arrived: list[socket.socket] | None = None) -> Iterator[int]:
    """A server that takes connections, into `arrived`, and never says a word; yields its port."""
    taken = [] if arrived is None else arrived
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(listener.accept()[0])

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()
            for connection in taken:
                connection.close()


def make_certificate(directory: Path, host: str) -> Path:
    """A PEM file: a fresh key, and a certificate that vouches for itself to be `host`."""
    skip_unless(shutil.which("openssl") is not None, "openssl is not installed")
    key, certificate, both = (directory / name for name in ("key.pem", "certificate.pem", "both.pem"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text(key.read_text() + certificate.read_text())
    return both


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def digest_answer(user: str, realm: str, password: str, nonce: str, method: str, uri: str) -> str:
    """What a client of HTTP Digest (RFC 2069) must send as `response`."""

    def md5(*parts: str) -> str:
        return hashlib.md5(":".join(parts).encode()).hexdigest()  # noqa: S324

    return md5(md5(user, realm, password), nonce, md5(method, uri))


def make_video(
    path: Path, frames: int = 30, rate: int = 15, codec: str = "mpeg4", size: tuple[int, int] = (48, 64), **options: str
) -> Path:
    """A video file of `picture`s: size (height, width)."""
    with av.open(str(path), "w", options=options) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(picture(*size, seed=number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def within(seconds: float, done: Callable[[], bool]) -> bool:
    """Whether it comes about in time."""
    deadline_s = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
    return True


async def until(done: Callable[[], bool]) -> None:
    """Wait until it comes about; TimeoutError after WAIT_S."""
    async with asyncio.timeout(WAIT_S):
        while not done():  # noqa: ASYNC110 - states are looked at, as a user of the API does
            await asyncio.sleep(0.01)
