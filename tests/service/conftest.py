"""A real server on a free port, real clients for it, and the stream beside which everything else goes wrong."""

from __future__ import annotations

import contextlib
import json
import socket as tcp
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from inkling.models.bundle.schema import TOLERANCE
from inkling.service.bootstrap import Core, build
from inkling.service.protocol.codec import ErrorMessage, Flushed, Message, Outgoing, Prediction, Summary, decode_reply
from inkling.service.server import Server, address, bind
from inkling.service.settings import Settings
from tests.support import make_bundle, poses

Frames = Sequence[tuple[float, Mapping[int, NDArray[np.float32]]]]
"""`pts_s` and the people by track, of each frame."""

CANARY = 3
"""One person in so many is also stepped alone by the servers of tests, which insist that it makes no difference."""

PROMISES = {
    "clips": 100,
    "groups": 50,
    "promises": [
        {"error_rate": 0.01, "threshold": None},
        {"error_rate": 0.05, "threshold": 0.6, "committed": 80, "wrong": 1},
        {"error_rate": 0.2, "threshold": 0.4, "committed": 90, "wrong": 9},
    ],
}
"""Made up, of the shared bundle."""

WAIT_S = 30.0
"""After which a test gives up on an answer; no test takes that long when all is well."""


@dataclass(slots=True)
class Running:
    """A server in a thread of this process."""

    core: Core
    server: Server
    url: str
    failures: list[BaseException] = field(default_factory=list)

    @property
    def stream_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/stream"

    @property
    def place(self) -> tuple[str, int]:
        """Where a bare TCP connection goes."""
        host, _, port = self.url.removeprefix("http://").partition(":")
        return host, int(port)

    def wait_idle(self) -> None:
        """Wait until no stream is open."""
        wait_until(lambda: not self.core.hub.streams())

    def counts(self, name: str) -> int:
        """Errors of that code told to clients so far."""
        of_streams = sum(stats.counts.errors.get(name, 0) for stats in self.core.hub.stats())
        return of_streams + self.core.metrics.errors[name]


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """Serve until the block is left, then drain, and insist that the server ends."""
    core = build(settings)
    ready = threading.Event()
    with bind(settings.host, settings.port) as listener:
        server = Running(core, Server(core, ready.set), address(listener))

        def run() -> None:
            try:
                server.server.run([listener])
            except BaseException as error:  # noqa: BLE001 - shown by the test's thread
                server.failures.append(error)

        thread = threading.Thread(target=run, name="server")
        thread.start()
        try:
            assert ready.wait(WAIT_S), server.failures
            yield server
        finally:
            server.server.stop()
            thread.join(WAIT_S)
    assert not thread.is_alive()
    assert not server.failures
    for stats in core.hub.stats():
        assert stats.canary is None or stats.canary[1] <= TOLERANCE, "a batch changed what a track gets"


def tiny_settings(root: Path, **values: Any) -> Settings:
    """Settings of a test server: a free port, only the bundles in `root` that are named `tiny`."""
    fields: dict[str, Any] = {"port": 0, "bundles": (root,), "load": ("tiny",), "threads": 1, "drain_s": 5.0}
    fields |= {"canary": CANARY, "people_bundle": "none"}
    return Settings.named(**fields | values)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the bundle tiny/1."""
    root = tmp_path_factory.mktemp("bundles")
    make_bundle(root, background="c", decision={"on": 0.5, "off": 0.4, "min_steps": 2}, stopping=PROMISES)
    return root


@pytest.fixture(scope="session")
def server(bundles: Path) -> Iterator[Running]:
    """A server that many tests share: leave it as you found it."""
    with running(tiny_settings(bundles, max_clip_bytes=2**20)) as shared:
        yield shared


def wait_until(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while not done():
        assert time.monotonic() < deadline_s, "it never came about"
        time.sleep(0.005)


# -- clients ------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def raw(server: Running) -> Iterator[ClientConnection]:
    """A bare connection, before any message."""
    with connect(server.stream_url, compression=None, ping_interval=None, max_size=None) as socket:
        yield socket


def narrow(server: Running) -> tcp.socket:
    """A connection that buffers next to nothing: what its client does not read stays with the server."""
    socket = tcp.socket()
    socket.setsockopt(tcp.SOL_SOCKET, tcp.SO_RCVBUF, 4096)
    socket.connect(server.place)
    return socket


@contextlib.contextmanager
def opened(server: Running, **start: Any) -> Iterator[ClientConnection]:
    """A connection whose stream is admitted."""
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": "tiny"} | start)
        assert hear(socket).type == "ready"
        yield socket


def say(socket: ClientConnection, message: Mapping[str, Any] | str | bytes) -> None:
    socket.send(json.dumps(message) if isinstance(message, Mapping) else message)


def hear(socket: ClientConnection) -> Outgoing:
    """The next message. Raises ConnectionClosed when there is none."""
    return decode_reply(socket.recv(WAIT_S))


def hear_all(socket: ClientConnection) -> tuple[list[Outgoing], int]:
    """Every message until the connection ends, and its close code."""
    messages: list[Outgoing] = []
    while True:
        try:
            messages.append(hear(socket))
        except ConnectionClosed as end:
            return messages, end.rcvd.code if end.rcvd else 1006


def pose(seq: int, pts_s: float | None, people: Mapping[int, Any]) -> dict[str, Any]:
    """A `pose` message; None in place of `pts_s` leaves it out."""
    rows = [{"track": t, "keypoints": k.tolist() if isinstance(k, np.ndarray) else k} for t, k in people.items()]
    message: dict[str, Any] = {"type": "pose", "seq": seq, "people": rows}
    return message if pts_s is None else message | {"pts_s": pts_s}


def body(seed: int = 0) -> list[list[float]]:
    """One good body13 pose."""
    rows: list[list[float]] = poses(1, 1, seed=seed)[0, 0].tolist()
    return rows


def settled(socket: ClientConnection, mark: int = 0) -> list[Outgoing]:
    """Everything that is said until all that was sent so far is answered."""
    say(socket, {"type": "flush", "id": mark})
    messages: list[Outgoing] = []
    while True:
        message = hear(socket)
        if isinstance(message, Flushed):
            assert message.id == mark
            return messages
        messages.append(message)


def finish(socket: ClientConnection) -> tuple[list[Outgoing], Summary]:
    """End the stream in order."""
    say(socket, {"type": "end"})
    messages, code = hear_all(socket)
    assert code == 1000
    assert isinstance(messages[-1], Summary)
    return messages[:-1], messages[-1]


def play(server: Running, frames: Frames, **start: Any) -> list[Prediction]:
    """The predictions of one stream of these frames, all sent at once with policy `block`."""
    with opened(server, policy="block", **start) as socket:
        messages: list[Message] = []
        reader = threading.Thread(target=lambda: messages.extend(hear_all(socket)[0]))
        reader.start()
        for seq, (pts_s, people) in enumerate(frames):
            say(socket, pose(seq, pts_s, people))
        say(socket, {"type": "end"})
        reader.join(WAIT_S)
    assert isinstance(messages[-1], Summary)
    assert not [message for message in messages if isinstance(message, ErrorMessage)]
    return [message for message in messages if isinstance(message, Prediction)]


# -- the stream beside it -----------------------------------------------------------------------------------------
LONGEST = 1500
"""Frames of a solo run: more than a bystander sends."""


@dataclass
class Bystander:
    """A well-behaved client that streams, frame by frame, for as long as the block lasts.

    On leaving it sends some more frames, ends in order, and insists that every result is that of its solo run.
    """

    server: Running
    frames: NDArray[np.float32]
    solo: NDArray[np.float64]
    _stop: threading.Event = field(default_factory=threading.Event)
    _some: threading.Event = field(default_factory=threading.Event)
    got: list[Prediction] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    start: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> Bystander:
        self._thread = threading.Thread(target=self._run, name="bystander")
        self._thread.start()
        assert self._some.wait(WAIT_S), self.failures
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._stop.set()
        self._thread.join(WAIT_S)
        if kind is None:
            assert not self.failures, self.failures
            assert len(self.got) >= 30
            assert [p.seq for p in self.got] == list(range(len(self.got)))
            assert not any(p.skipped or p.dropped or p.epoch for p in self.got)
            np.testing.assert_allclose([p.probabilities for p in self.got], self.solo[: len(self.got)], atol=2e-6)

    def _run(self) -> None:
        left = 15
        try:
            with opened(self.server, **self.start) as socket:
                for seq, frame in enumerate(self.frames):
                    say(socket, pose(seq, seq / 15, {7: frame}))
                    while not isinstance(message := hear(socket), Prediction):
                        assert message.type == "event", message
                    self.got.append(message)
                    if seq == 15:
                        self._some.set()
                    if self._stop.is_set():
                        left -= 1
                        if not left:
                            break
                    else:
                        self._stop.wait(0.002)
                _, summary = finish(socket)
                assert summary.received == summary.stepped == len(self.got)
        except BaseException as error:  # noqa: BLE001 - shown by the test's thread
            self.failures.append(error)
            self._some.set()


@pytest.fixture(scope="session")
def beside(server: Running) -> Callable[..., Bystander]:
    """Makes bystanders for a server of the same bundle (without argument: the shared one), knowing their solo run."""
    frames = poses(LONGEST, 1, seed=11)[:, 0]
    solo = play(server, [(seq / 15, {7: frame}) for seq, frame in enumerate(frames)])
    assert len(solo) == LONGEST
    expected = np.array([prediction.probabilities for prediction in solo])
    return lambda at=server, **start: Bystander(at, frames, expected, start=start)
