"""The client for asyncio; `inkling.service.client.blocking` is the same for blocking code, and explains the rest.

    async with AsyncClient().stream("body-actions", skeleton="coco17", on_prediction=show) as stream:
        await stream.send(keypoints, pts_s=0.0)

A task of its own reads, and calls the callbacks, which are plain functions. Tasks may share a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from numpy.typing import NDArray

from inkling.service.client.clips import Clip, Timeline, clip_body, read_timeline
from inkling.service.client.connection import Connection
from inkling.service.client.errors import ClientError, RemoteError
from inkling.service.client.people import Frame, People, checked_time, pack_people
from inkling.service.client.reconnect import Reconnect, Reconnection
from inkling.service.client.shared import OpenStream, new_stream
from inkling.service.client.stream_state import ClientStream
from inkling.service.client.target import BUNDLE, DEFAULT_URL, Options, SentImage, Target, ready_image
from inkling.service.protocol.codec import DecisionMessage, Event, PeopleMessage, Prediction
from inkling.service.protocol.track_id import TrackId

T = TypeVar("T")


class AsyncClient:
    """A server, for asyncio; the arguments are those of `Client`."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        timeout_s: float = 30.0,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        ca_file: str | Path | None = None,
    ) -> None:
        self._target = Target(url, timeout_s, token, headers, ca_file)

    def stream(
        self,
        bundle: str = BUNDLE,
        *,
        on_prediction: Callable[[Prediction], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_decision: Callable[[DecisionMessage], None] | None = None,
        on_people: Callable[[PeopleMessage], None] | None = None,
        on_error: Callable[[RemoteError], None] | None = None,
        on_reconnect: Callable[[Reconnection], None] | None = None,
        reconnect: bool | Reconnect = False,
        keep_alive_s: float | None = None,
        **options: Unpack[Options],
    ) -> AsyncStream:
        """A stream, to be opened by `async with` or `await`; the arguments are those of `Client.stream`."""
        return AsyncStream(
            self._target,
            new_stream(
                self._target,
                bundle,
                options,
                on_prediction=on_prediction,
                on_event=on_event,
                on_decision=on_decision,
                on_people=on_people,
                on_error=on_error,
                on_reconnect=on_reconnect,
                reconnect=reconnect,
                keep_alive_s=keep_alive_s,
            ),
        )

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
        import httpx  # a stream needs none

        body, kind = await asyncio.to_thread(clip_body, clip, skeleton, fps)
        request = self._target.request(body, kind, bundle=bundle, skeleton=skeleton, fps=fps, error_rate=error_rate)
        try:
            async with httpx.AsyncClient(**self._target.http_client()) as http:
                answer = await http.post(**request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._target.unreachable(error) from error
        return read_timeline(answer.status_code, answer.content)


class AsyncStream(OpenStream):
    """A stream that `async with` opens and ends, as `Stream` is; `await` opens it without ending it."""

    def __init__(self, target: Target, state: ClientStream) -> None:
        self._state = state
        self._waiters: list[asyncio.Future[None]] = []
        self._connection = Connection(target, state, contextlib.nullcontext(), self._wake)
        self._reading: asyncio.Task[None] | None = None

    def __await__(self) -> Generator[Any, None, Self]:
        return self.__aenter__().__await__()

    async def __aenter__(self) -> Self:
        """Connect and wait until the stream is admitted. Raises Unreachable, RemoteError, ClientError."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._connection.run(), name="inkling-client")
            try:
                await self._wait(lambda: self._state.ready is not None)
                self._state.check()
            except BaseException:
                await self.close()
                raise
        return self

    async def send(self, people: People, pts_s: float | None = None) -> int:
        """As `Stream.send`."""
        packed, time_s = pack_people(people), checked_time(pts_s)
        return await self._frame(lambda now_s: self._state.pose(packed, time_s, now_s))

    async def send_image(
        self, image: bytes | NDArray[Any], pts_s: float | None = None, *, bgr: bool = False, raw: bool = False
    ) -> int:
        """As `Stream.send_image`; pixels are compressed on another thread."""
        time_s = checked_time(pts_s)
        if isinstance(image, bytes):
            sent = SentImage(image)
        else:
            sent = await asyncio.to_thread(ready_image, image, self.ready, bgr, raw)
        return await self._frame(lambda now_s: self._state.image(sent, time_s, now_s))

    def received(self, wait_s: float = 0.0) -> AsyncIterator[Prediction]:
        """As `Stream.received`."""
        until_s = time.monotonic() + wait_s
        return self._taken(lambda: time.monotonic() >= until_s, until_s)

    def __aiter__(self) -> AsyncIterator[Prediction]:
        """Predictions until the stream has ended, whoever ends it."""
        return self._taken(lambda: self._state.finished)

    def flush(self) -> AsyncIterator[Prediction]:
        """As `Stream.flush`."""
        marker = self._told(self._state.flush)
        return self._taken(lambda: self._state.flushed(marker))

    async def end(self) -> None:
        """As `Stream.end`."""
        self._told(self._state.end)

    def finish(self) -> AsyncIterator[Prediction]:
        """As `Stream.finish`."""
        self._told(self._state.end)
        return aiter(self)

    async def play(self, frames: Iterable[Frame] | AsyncIterable[Frame]) -> AsyncIterator[Prediction]:
        """As `Stream.play`; the frames may come from an async source."""
        async for pts_s, people in _each(frames):
            await self.send(people, pts_s)
            async for prediction in self.received():
                yield prediction
        async for prediction in self.finish():
            yield prediction

    async def reset(self, track: TrackId | None = None) -> None:
        """As `Stream.reset`."""
        self._told(lambda now_s: self._state.reset(track, now_s))

    async def close(self) -> None:
        """As `Stream.close`."""
        self._state.fail(ClientError("the stream was closed"))
        self._wake()
        if self._reading is not None:
            self._connection.stop()
            await asyncio.wait([self._reading])

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if not self._state.finished and self._state.failure is None and self._state.state != "ending":
                    await self.end()
                if not self._state.told:
                    async for _ in self:
                        pass
        finally:
            await self.close()

    # -- inside ---------------------------------------------------------------------------------------------------
    async def _frame(self, send: Callable[[float], int]) -> int:
        await self._wait(lambda: self._state.room > 0)
        return self._told(send)

    def _told(self, say: Callable[[float], T]) -> T:
        """Change the state, and have sent what it wants to be sent."""
        result = say(time.monotonic())
        self._connection.send()
        return result

    async def _taken(self, done: Callable[[], bool], until_s: float | None = None) -> AsyncIterator[Prediction]:
        """Predictions as they come, until `done`."""
        while True:
            last = done() or self._state.state == "over"
            prediction = self._state.take()
            if prediction is not None:
                yield prediction
            elif last:
                return
            else:
                await self._wait(lambda: self._state.waiting > 0 or done(), until_s)

    async def _wait(self, done: Callable[[], bool], until_s: float | None = None) -> None:
        """Wait until `done`, or that time, or the end of the stream. Raises ClientError before the stream is opened."""
        while not done() and not self._state.finished:
            if self._reading is None:
                raise ClientError("the stream is not open yet: use it in a `with` block, or await it")
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            if until_s is None:
                await waiter
            elif (left_s := until_s - time.monotonic()) > 0:
                await asyncio.wait([waiter], timeout=left_s)
            else:
                return

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


async def _each(frames: Iterable[Frame] | AsyncIterable[Frame]) -> AsyncIterator[Frame]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame
