"""Talk to an Inkling server from Python; needs numpy, httpx, pydantic and websockets, no engine.

    def show(prediction):                                       # called as soon as one arrives
        print(prediction.pts_s, prediction.label, max(prediction.probabilities))

    with Client().stream("body-actions", skeleton="coco17", on_prediction=show) as stream:
        for frame, keypoints in enumerate(poses):               # (17, 3): x, y, confidence
            stream.send(keypoints, pts_s=frame / 30)

Without `on_prediction` predictions are kept until they are taken: `received()` gives those that have come, and
`received(wait_s=0.03)` those that come within that time, each at once. A loop that looks once a frame sees them one
frame late.

For images: `stream("fall-watch", input="frame")`, then `stream.send_image(rgb)`; that needs OpenCV (the extra
`images`), unless the images are JPEG files already.

`AsyncClient` is the same for asyncio. A stream reads on a thread of its own, which is also where callbacks run: one at
a time, in order. A callback may send; it must not wait for anything of its stream. Threads may share a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from inkling.service.client.target import BUNDLE, DEFAULT_URL, Options, Target, ready_image
from inkling.service.protocol.codec import DecisionMessage, Event, PeopleMessage, Prediction
from inkling.service.protocol.track_id import TrackId

T = TypeVar("T")


class Client:
    """A server, for blocking code.

    timeout_s: bounds connecting, each wait for an answer, and how long a dead connection goes unnoticed. token: sent as
    `Authorization: Bearer`. headers: sent with every request. ca_file: PEM file of the authority of an https server.
    A server on this machine is never asked through a proxy; others are, where the environment names one.
    """

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
    ) -> Stream:
        """Open a stream and wait until it is admitted. Raises Unreachable, RemoteError, ClientError.

        on_prediction takes predictions as they come, in place of `received`; on_event takes events, on_decision the
        decisions of a stream that was given an `error_rate`. on_people takes who was seen in each image, where people
        are found in images: tracks, boxes and keypoints, in pixels of the images as they were given. on_error takes
        refusals that the stream survives (one person, one frame); without it they are raised where predictions are
        taken.

        reconnect: after a lost connection or an error that is retryable, open a new stream, on the first opening too.
        Frames that were unanswered are lost and are not sent again; on_reconnect is told which. Meanwhile `room` is 0,
        and `send` waits.

        keep_alive_s: send an empty message after so many seconds without one, so that the server does not close the
        stream as idle (after 60 s, by its default settings).
        """
        return Stream(
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
        import httpx  # a stream needs none

        body, kind = clip_body(clip, skeleton, fps)
        request = self._target.request(body, kind, bundle=bundle, skeleton=skeleton, fps=fps, error_rate=error_rate)
        try:
            with httpx.Client(**self._target.http_client()) as http:
                answer = http.post(**request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._target.unreachable(error) from error
        return read_timeline(answer.status_code, answer.content)


class Stream(OpenStream):
    """An open stream; made by `Client.stream`. Leaving its `with` block ends it, and closes it at once on an error."""

    def __init__(self, target: Target, state: ClientStream) -> None:
        self._state = state
        self._changed = threading.Condition()
        self._connection = Connection(target, state, self._changed, self._changed.notify_all)
        self._loop = asyncio.new_event_loop()
        self._reading = self._loop.create_task(self._connection.run())
        self._thread = threading.Thread(target=self._read, name="inkling-client", daemon=True)
        self._thread.start()
        try:
            self._wait(lambda: state.ready is not None)
            state.check()
        except BaseException:
            self.close()
            raise

    def send(self, people: People, pts_s: float | None = None) -> int:
        """Send one frame; waits while as many frames as the server allows are unanswered. Its sequence number.

        Raises BadArgument for people that are no arrays (J, C), RemoteError or ConnectionLost when the stream has
        ended.
        """
        packed, time_s = pack_people(people), checked_time(pts_s)
        return self._frame(lambda now_s: self._state.pose(packed, time_s, now_s))

    def send_image(
        self, image: bytes | NDArray[Any], pts_s: float | None = None, *, bgr: bool = False, raw: bool = False
    ) -> int:
        """Send one image as a frame, waiting as `send` does: a JPEG, PNG or WebP file's bytes as they are, or pixels,
        uint8 RGB (height, width, 3), reduced to what is of use to the model and made a JPEG. bgr: OpenCV's order.
        raw: send
        the pixels themselves, so that nothing is lost on the way; more than 1280 x 1024 of them are reduced to that.

        Raises as `send` does, and MissingPackage for pixels where OpenCV is not installed.
        """
        sent, time_s = ready_image(image, self.ready, bgr, raw), checked_time(pts_s)
        return self._frame(lambda now_s: self._state.image(sent, time_s, now_s))

    def received(self, wait_s: float = 0.0) -> Iterator[Prediction]:
        """Predictions that have arrived, and those that arrive within `wait_s`, each at once."""
        until_s = time.monotonic() + wait_s
        return self._taken(lambda: time.monotonic() >= until_s, until_s)

    def __iter__(self) -> Iterator[Prediction]:
        """Predictions until the stream has ended, whoever ends it."""
        return self._taken(lambda: self._state.finished)

    def flush(self) -> Iterator[Prediction]:
        """Predictions until everything sent so far is answered (or lost, where the stream is opened again)."""
        marker = self._told(self._state.flush)
        return self._taken(lambda: self._state.flushed(marker))

    def end(self) -> None:
        """No frame will follow; what is still to come is read by iterating, then `summary` is there."""
        self._told(self._state.end)

    def finish(self) -> Iterator[Prediction]:
        """End the stream: the predictions that are still to come; then `summary` is there."""
        self.end()
        return iter(self)

    def play(self, frames: Iterable[Frame]) -> Iterator[Prediction]:
        """Send all frames, as fast as the server takes them, then end; yields predictions meanwhile."""
        for pts_s, people in frames:
            self.send(people, pts_s)
            yield from self.received()
        yield from self.finish()

    def reset(self, track: TrackId | None = None) -> None:
        """Forget what was seen of a track (None: of all)."""
        self._told(lambda now_s: self._state.reset(track, now_s))

    def close(self) -> None:
        """Close the connection, without waiting for what is pending."""
        with self._changed:
            self._state.fail(ClientError("the stream was closed"))
            self._changed.notify_all()
        with contextlib.suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._connection.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                if not self._state.finished and self._state.failure is None and self._state.state != "ending":
                    self.end()
                if not self._state.told:
                    for _ in self:
                        pass
        finally:
            self.close()

    # -- inside ---------------------------------------------------------------------------------------------------
    def _read(self) -> None:
        """What the thread does: everything that is about the connection."""
        try:
            with contextlib.suppress(asyncio.CancelledError):
                self._loop.run_until_complete(self._reading)
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()

    def _frame(self, send: Callable[[float], int]) -> int:
        with self._changed:
            self._wait(lambda: self._state.room > 0)
            return self._told(send)

    def _told(self, say: Callable[[float], T]) -> T:
        """Change the state, and have sent what it wants to be sent."""
        with self._changed:
            result = say(time.monotonic())
        with contextlib.suppress(RuntimeError):  # its loop has ended: nothing is to be sent
            self._loop.call_soon_threadsafe(self._connection.send)
        return result

    def _taken(self, done: Callable[[], bool], until_s: float | None = None) -> Iterator[Prediction]:
        """Predictions as they come, until `done`."""
        while True:
            with self._changed:
                last = done() or self._state.state == "over"
                prediction = self._state.take()
            if prediction is not None:
                yield prediction
            elif last:
                return
            else:
                self._wait(lambda: self._state.waiting > 0 or done(), until_s)

    def _wait(self, done: Callable[[], bool], until_s: float | None = None) -> None:
        """Wait until `done`, or that time, or the end of the stream. Raises ClientError in a callback."""
        with self._changed:
            while not done() and not self._state.finished:
                if threading.current_thread() is self._thread:
                    raise ClientError("a callback must not wait for its own stream; hand the work to another thread")
                left_s = None if until_s is None else until_s - time.monotonic()
                if left_s is not None and left_s <= 0:
                    return
                self._changed.wait(left_s)
