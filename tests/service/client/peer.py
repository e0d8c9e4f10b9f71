"""A small real server for tests of the client: it speaks the protocol, and each test says how it behaves."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from inkling.service.protocol.codec import (
    Credit,
    End,
    Event,
    Flush,
    Flushed,
    Message,
    PackedPose,
    Prediction,
    Ready,
    Reset,
    Start,
    Summary,
    decode,
    encode,
)
from inkling.service.protocol.track_id import TrackId

LABELS = ("jumping_jacks", "idle")


@dataclass
class Peer:
    """Answers every frame at once; probabilities follow the height of the first person's right wrist.

    skip_odd: odd frames get no prediction, but a credit after every second of them. seen: all decoded messages.
    """

    credits: int = 4
    skip_odd: bool = False
    seen: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def __call__(self, socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            assert socket.request is not None
            self.paths.append(socket.request.path)
            start = decode(socket.recv())
            assert isinstance(start, Start)
            self.seen.append(start)
            say(socket, ready(self.credits))
            for data in socket:
                message = decode(data)
                self.seen.append(message)
                if not self.answer(socket, message):
                    break

    def answer(self, socket: ServerConnection, message: object) -> bool:
        """False: the stream is over."""
        match message:
            case PackedPose() if self.skip_odd and message.seq % 2:
                if message.seq % 4 == 3:
                    say(socket, Credit(seq=message.seq, skipped=message.seq // 2 + 1, dropped=0))
            case PackedPose():
                for track, keypoints in zip(message.tracks, message.keypoints, strict=True):
                    say(socket, prediction(message.seq, message.pts_s or 0.0, track, keypoints))
                if not message.tracks:
                    say(socket, Credit(seq=message.seq, skipped=0, dropped=0))
                if message.seq == 2:
                    say(socket, event(message.seq))
            case Flush():
                say(socket, Flushed(id=message.id))
            case End():
                frames = sum(isinstance(one, PackedPose) for one in self.seen)
                say(socket, summary(frames))
                return False
            case Reset():
                pass
        return True


def prediction(seq: int, pts_s: float, track: TrackId, keypoints: np.ndarray[Any, Any]) -> Prediction:
    share = float(1 / (1 + np.exp(np.clip(keypoints[-1, 1] / 100, -30, 30)))) if len(keypoints) else 0.5
    return Prediction(
        seq=seq,
        pts_s=pts_s,
        track=track,
        label=LABELS[share < 0.5],
        probabilities=[share, 1 - share],
        epoch=0,
        skipped=0,
        dropped=0,
        backlog=0,
    )


def ready(credits: int = 4) -> Ready:
    return Ready(stream="s", bundle="body-actions", version="1", labels=LABELS, rate_hz=15.0, credits=credits)


def event(seq: int) -> Event:
    return Event(seq=seq, pts_s=seq / 30, track=1, label="jumping_jacks", phase="begin", probability=0.9)


def summary(frames: int = 0) -> Summary:
    return Summary(
        received=frames, stepped=frames, skipped=0, dropped=0, refused=0, tracks=1, resets={}, duration_s=1.0
    )


def say(socket: ServerConnection, message: Message) -> None:
    socket.send(encode(message))


@contextlib.contextmanager
def listening(handler: Callable[[ServerConnection], None]) -> Iterator[str]:
    """Serve WebSockets on a free port of this machine; yields the server's http URL."""
    with serve(handler, "127.0.0.1", 0, compression=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join()


@dataclass
class Posted:
    """What arrived at `answering`."""

    path: str = ""
    kind: str = ""
    body: bytes = b""


@contextlib.contextmanager
def answering(status: int, answer: object) -> Iterator[tuple[str, Posted]]:
    """An HTTP server that gives every POST the same answer (JSON, or bytes as they are)."""
    posted = Posted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.path, posted.kind = self.path, self.headers["content-type"]
            posted.body = self.rfile.read(int(self.headers["content-length"]))
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", posted
        finally:
            server.shutdown()
            thread.join()
