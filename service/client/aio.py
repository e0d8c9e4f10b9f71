"""The client for asyncio; `inkling.service.client.blocking` is the same for blocking code, and explains the rest.

async with AsyncClient().stream("body-actions", skeleton="coco17") as stream:
    await stream.send(keypoints, pts_s=0.0)
    async for prediction in stream: ...                     # until the stream ends
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, Unpack

import httpx
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from inkling.service.client.clips import Clip, Timeline, clip_body, read_timeline
from inkling.service.client.stream_state import ClientStream, ConnectionLost, People, RemoteError
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


class AsyncClient:
    """A server, for asyncio. `timeout_s` bounds connecting and each wait for an answer."""

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
    ) -> AsyncStream:
        """A stream, to be opened by `async with`; the arguments are those of `Client.stream`."""
        return AsyncStream(self._target, ClientStream(start_message(bundle, options), on_event, on_error, on_decision))

    async def score(
        self,
        clip: Clip,
        bundle: str = BUNDLE,
        *,
        skeleton: str | None = None,
        fps: float | None = None,
        error_rate: float | None = None,
    ) -> Timeline:
        """As `Client.score`."""
        body, kind = await asyncio.to_thread(clip_body, clip, skeleton, fps)
        try:
            async with httpx.AsyncClient() as http:
                request = self._target.request(
                    body, kind, bundle=bundle, skeleton=skeleton, fps=fps, error_rate=error_rate
                )
                answer = await http.post(**request)
        except httpx.TransportError as error:
            raise self._target.unreachable(error) from error
        return read_timeline(answer.status_code, answer.content)


class AsyncStream:
    """A stream that `async with` opens and ends. Tasks may share it; whoever waits for something reads for all."""

    _socket: ClientConnection

    def __init__(self, target: Target, core: ClientStream) -> None:
        self._target = target
        self._core = core
        self._reading = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Connect and wait until the stream is admitted. Raises Unreachable, RemoteError, ClientError."""
        try:
            self._socket = await connect(self._target.stream, open_timeout=self._target.timeout_s, **CONNECT)
        except UNANSWERED as error:
            raise self._target.unreachable(error) from error
        try:
            await self._write(self._core.start())
            await self._wait(lambda: self._core.ready is not None)
            self._core.check()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._core.state == "open" and self._core.failure is None:
                await self.end()
                async for _ in self:
                    pass
        finally:
            await self.close()

    @property
    def ready(self) -> Ready:
        """The server's admission: stream id, bundle, version, labels, rate_hz, credits."""
        assert self._core.ready is not None, "open the stream with `async with` first"  # noqa: S101
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

    async def send(self, people: People, pts_s: float | None = None) -> int:
        """As `Stream.send`."""
        await self._wait(lambda: self._core.room > 0)
        seq, message = self._core.pose(people, pts_s, time.monotonic())
        await self._write(message)
        return seq

    async def send_image(self, image: bytes | NDArray[Any], pts_s: float | None = None, *, bgr: bool = False) -> int:
        """As `Stream.send_image`."""
        await self._wait(lambda: self._core.room > 0)
        data = ready_image(image, self.ready, bgr)
        seq, message = self._core.image(data, pts_s, time.monotonic())
        await self._write(message)
        return seq

    @property
    def room(self) -> int:
        """Frames that can be sent without waiting, as far as answers were read."""
        return self._core.room

    def received(self) -> Iterator[Prediction]:
        """Predictions that were read while something else was awaited; never waits, reads nothing itself."""
        while (prediction := self._core.take()) is not None:
            yield prediction

    async def __aiter__(self) -> AsyncIterator[Prediction]:
        """Predictions until the stream has ended, whoever ends it."""
        async for prediction in self._until(lambda: self._core.finished):
            yield prediction

    async def flush(self) -> AsyncIterator[Prediction]:
        """Predictions until everything sent so far is answered."""
        marker, message = self._core.flush()
        await self._write(message)
        async for prediction in self._until(lambda: self._core.flushed(marker)):
            yield prediction

    async def end(self) -> None:
        """No frame will follow; what is still to come is read by iterating, then `summary` is there."""
        await self._write(self._core.end())

    async def play(self, frames: Iterable[Frame] | AsyncIterable[Frame]) -> AsyncIterator[Prediction]:
        """Send all frames, as fast as the server takes them, then end; yields predictions meanwhile."""
        async for pts_s, people in _each(frames):
            await self.send(people, pts_s)
            for prediction in self.received():
                yield prediction
        await self.end()
        async for prediction in self:
            yield prediction

    async def reset(self, track: int | None = None) -> None:
        """Forget what was seen of a track (None: of all)."""
        await self._write(self._core.reset(track))

    async def close(self) -> None:
        """Close the connection, without waiting for what is pending."""
        await self._socket.close()

    async def _until(self, done: Callable[[], bool]) -> AsyncIterator[Prediction]:
        while True:
            for prediction in self.received():
                yield prediction
            if done():
                return
            await self._wait(lambda: self._core.waiting > 0 or done())

    async def _wait(self, done: Callable[[], bool]) -> None:
        """Read until `done`, or until the stream has ended."""
        while not done() and not self._core.finished:
            async with self._reading:  # fair: who waits here gets its turn after each message
                if not done() and not self._core.finished:
                    await self._read()

    async def _read(self) -> None:
        """Take in one message, or the end of the connection. Raises ConnectionLost when an owed one does not come."""
        owed = self._core.owed
        try:
            async with asyncio.timeout(self._target.timeout_s):
                message = await self._socket.recv()
        except TimeoutError:
            if owed and self._core.owed:  # all that time
                raise ConnectionLost(f"the server has not answered for {self._target.timeout_s:g} s") from None
        except ConnectionClosed as error:
            self._core.closed(error)
        else:
            self._core.receive(message, time.monotonic())

    async def _write(self, message: str | bytes) -> None:
        try:
            await self._socket.send(message)
        except ConnectionClosed:
            await self._wait(lambda: False)  # the server has said why before it closed
            self._core.check()


async def _each(frames: Iterable[Frame] | AsyncIterable[Frame]) -> AsyncIterator[Frame]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame
