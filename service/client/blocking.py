"""Talk to an Inkling server from Python; needs numpy, httpx and websockets, no engine.

    with Client().stream("body-actions", skeleton="coco17") as stream:
        for frame, keypoints in enumerate(poses):               # (17, 3): x, y, confidence
            stream.send(keypoints, pts_s=frame / 30)
            for prediction in stream.received():                # never waits
                print(prediction.pts_s, prediction.label, max(prediction.probabilities))

For images: `stream("fall-watch", input="frame")`, then `stream.send_image(rgb)`; that needs OpenCV, unless the images
are JPEG files already.

`AsyncClient` has the same methods as coroutines. A blocking stream belongs to one thread; several tasks of one event
loop may share an async one, e.g. one that sends and one that iterates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, Unpack

import httpx
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from inkling.service.client.aio import AsyncClient, AsyncStream
from inkling.service.client.clips import Clip, Timeline, clip_body, read_timeline
from inkling.service.client.stream_state import (
    ClientError,
    ClientStream,
    ConnectionLost,
    People,
    RemoteError,
    Unreachable,
)
from inkling.service.client.target import (
    BUNDLE,
    CONNECT,
    DEFAULT_URL,
    UNANSWERED,
    Frame,
    Options,
    Target,
    ready_image,
    start_message,
)
from inkling.service.protocol.codec import DecisionMessage, Event, Prediction, Ready, Summary

__all__ = [
    "AsyncClient",
    "AsyncStream",
    "Client",
    "ClientError",
    "ConnectionLost",
    "RemoteError",
    "Stream",
    "Timeline",
    "Unreachable",
]


class Client:
    """A server, for blocking code. `timeout_s` bounds connecting and each wait for an answer."""

    def __init__(self, url: str = DEFAULT_URL, *, timeout_s: float = 30.0) -> None:
        self._target = Target(url, timeout_s)

    def stream(
        self,
        bundle: str = BUNDLE,
        *,
        on_event: Callable[[Event], None] | None = None,
        on_error: Callable[[RemoteError], None] | None = None,
        on_decision: Callable[[DecisionMessage], None] | None = None,
        **options: Unpack[Options],
    ) -> Stream:
        """Open a stream and wait until it is admitted. Raises Unreachable, RemoteError, ClientError.

        on_event takes events as they come, on_decision the decisions of a stream that was given an `error_rate`.
        on_error takes refusals that the stream survives (one person, one frame); without it they are raised where
        predictions are read.
        """
        core = ClientStream(start_message(bundle, options), on_event, on_error, on_decision)
        return Stream(self._target, core)

    def score(
        self,
        clip: Clip,
        bundle: str = BUNDLE,
        *,
        skeleton: str | None = None,
        fps: float | None = None,
        error_rate: float | None = None,
    ) -> Timeline:
        """Predictions at every step of a whole clip. Raises Unreachable, RemoteError, ClientError."""
        body, kind = clip_body(clip, skeleton, fps)
        try:
            answer = httpx.post(
                **self._target.request(body, kind, bundle=bundle, skeleton=skeleton, fps=fps, error_rate=error_rate)
            )
        except httpx.TransportError as error:
            raise self._target.unreachable(error) from error
        return read_timeline(answer.status_code, answer.content)


class Stream:
    """An open stream; made by `Client.stream`. Leaving its `with` block ends it, and closes it at once on an error."""

    def __init__(self, target: Target, core: ClientStream) -> None:
        self._core = core
        self._timeout_s = target.timeout_s
        self._open = ExitStack()
        try:
            connection = connect(target.stream, open_timeout=target.timeout_s, **CONNECT)
            self._socket = self._open.enter_context(connection)
        except UNANSWERED as error:
            raise target.unreachable(error) from error
        try:
            self._write(core.start())
            self._wait(lambda: core.ready is not None)
            core.check()
        except BaseException:
            self.close()
            raise

    @property
    def ready(self) -> Ready:
        """The server's admission: stream id, bundle, version, labels, rate_hz, credits."""
        assert self._core.ready is not None  # noqa: S101 -- __init__ waited for it
        return self._core.ready

    @property
    def labels(self) -> tuple[str, ...]:
        """What `probabilities` are of."""
        return self.ready.labels

    @property
    def summary(self) -> Summary | None:
        """The server's account of the stream, once it has ended."""
        return self._core.summary

    @property
    def latency_s(self) -> float | None:
        """From sending a frame to reading its prediction, of the latest prediction."""
        return self._core.latency_s

    def send(self, people: People, pts_s: float | None = None) -> int:
        """Send one frame; waits while as many frames as the server allows are unanswered. Its sequence number.

        Raises ValueError for people that are no arrays (J, C), RemoteError or ConnectionLost when the stream has ended.
        """
        while not self._core.finished and self._read(0.0):
            pass
        self._wait(lambda: self._core.room > 0)
        seq, message = self._core.pose(people, pts_s, time.monotonic())
        self._write(message)
        return seq

    def send_image(self, image: bytes | NDArray[Any], pts_s: float | None = None, *, bgr: bool = False) -> int:
        """Send one image as a frame, waiting as `send` does: a JPEG, PNG or WebP file's bytes as they are, or pixels,
        uint8 RGB (height, width, 3), reduced to what is of use to the model and made a JPEG. bgr: OpenCV's order.

        Raises as `send` does.
        """
        while not self._core.finished and self._read(0.0):
            pass
        self._wait(lambda: self._core.room > 0)
        data = ready_image(image, self.ready, bgr)
        seq, message = self._core.image(data, pts_s, time.monotonic())
        self._write(message)
        return seq

    @property
    def room(self) -> int:
        """Frames that can be sent now without waiting; a live source drops its frame when there is none."""
        while not self._core.finished and self._read(0.0):
            pass
        return self._core.room

    def received(self, timeout_s: float = 0.0) -> Iterator[Prediction]:
        """Predictions that have arrived; waits up to `timeout_s` for the first when there is none yet."""
        deadline_s = time.monotonic() + timeout_s
        while not self._core.waiting and not self._core.finished and self._read(deadline_s - time.monotonic()):
            pass
        while not self._core.finished and self._read(0.0):
            pass
        yield from self._taken()

    def flush(self) -> Iterator[Prediction]:
        """Predictions until everything sent so far is answered."""
        marker, message = self._core.flush()
        self._write(message)
        yield from self._until(lambda: self._core.flushed(marker))

    def finish(self) -> Iterator[Prediction]:
        """End the stream: the predictions that are still to come; then `summary` is there."""
        self._write(self._core.end())
        yield from self._until(lambda: self._core.finished)
        self.close()

    def play(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Send all frames, as fast as the server takes them, then end; yields predictions meanwhile."""
        for pts_s, people in frames:
            self.send(people, pts_s)
            yield from self.received()
        yield from self.finish()

    def reset(self, track: int | None = None) -> None:
        """Forget what was seen of a track (None: of all)."""
        self._write(self._core.reset(track))

    def close(self) -> None:
        """Close the connection, without waiting for what is pending."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._core.state == "open" and self._core.failure is None:
                for _ in self.finish():
                    pass
        finally:
            self.close()

    def _until(self, done: Callable[[], bool]) -> Iterator[Prediction]:
        while True:
            yield from self._taken()
            if done():
                return
            self._wait(lambda: self._core.waiting > 0 or done())

    def _taken(self) -> Iterator[Prediction]:
        while (prediction := self._core.take()) is not None:
            yield prediction

    def _wait(self, done: Callable[[], bool]) -> None:
        """Read until `done`, or until the stream has ended."""
        while not done() and not self._core.finished:
            if not self._read(self._timeout_s) and not self._core.finished:
                raise ConnectionLost(f"the server has not answered for {self._timeout_s:g} s")

    def _read(self, timeout_s: float) -> bool:
        """Take in one message, or the end of the connection; False when neither came in time."""
        try:
            self._core.receive(self._socket.recv(timeout_s), time.monotonic())
        except TimeoutError:
            return False
        except ConnectionClosed as error:
            self._core.closed(error)
        return True

    def _write(self, message: str | bytes) -> None:
        try:
            self._socket.send(message)
        except ConnectionClosed:
            self._wait(lambda: False)  # the server has said why before it closed
            self._core.check()
