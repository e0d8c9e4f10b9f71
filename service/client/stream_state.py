"""The client's half of a stream, without sockets: what to send, what an answer means, when a silence is a loss, and
whether a lost stream is opened again.

Pure: text and bytes go in and out, time comes in as `now_s` (any clock that only rises). `connection` puts it on a
socket; the streams of `blocking` and `aio` are what a program sees of it.

    opening --ready--> open --end()--> ending --summary--> over
       ^                 |
       +---- lost <------+      with `reconnect`, after an error that is retryable or a lost connection
    (any other error, or a last try, leads to `failed` from anywhere)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from pydantic import ValidationError

from inkling.service.client.credits import Credits
from inkling.service.client.errors import (
    CallbackError,
    ClientError,
    ConnectionLost,
    RemoteError,
    Unreachable,
)
from inkling.service.client.keep_alive import Act, KeepAlive
from inkling.service.client.people import Packed, checked_track, pose_message, scaled_people
from inkling.service.client.reconnect import Backoff, Reconnection
from inkling.service.client.target import SentImage
from inkling.service.protocol.codec import (
    Credit,
    DecisionMessage,
    End,
    ErrorMessage,
    Event,
    Flush,
    Flushed,
    PeopleMessage,
    Prediction,
    Ready,
    Reset,
    Start,
    Summary,
    decode_reply,
    encode,
)
from inkling.service.protocol.errors import BadMessage, Draining
from inkling.service.protocol.image_binary import pack_image
from inkling.service.protocol.track_id import TrackId

StreamState = Literal["opening", "open", "lost", "ending", "over", "failed"]


class Ping:
    """In place of a message: a WebSocket ping is to be sent."""


PING = Ping()

Call = tuple[str, Callable[[], None]]
"""A callback's name, and the call that is due."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What a program wants to be told as it comes. With `prediction` no predictions are kept to be taken, and with
    `error` no refusals that the stream survives are raised."""

    prediction: Callable[[Prediction], None] | None = None
    event: Callable[[Event], None] | None = None
    decision: Callable[[DecisionMessage], None] | None = None
    people: Callable[[PeopleMessage], None] | None = None
    error: Callable[[RemoteError], None] | None = None
    reconnect: Callable[[Reconnection], None] | None = None


class ClientStream:
    """Bookkeeping of one stream, over as many connections as it takes.

    timeout_s: bounds each silence. keep_alive_s: after so long without a message of ours an empty one is sent, so that
    the server does not close the stream as idle. backoff: lost streams are opened again; None: they are not.
    """

    def __init__(
        self,
        start: Start,
        callbacks: Callbacks = Callbacks(),
        *,
        timeout_s: float = 30.0,
        keep_alive_s: float | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.state: StreamState = "opening"
        self.ready: Ready | None = None
        self.summary: Summary | None = None
        self.failure: ClientError | None = None
        self.told = False
        """Whether the failure was raised to the program."""
        self.latency_s: float | None = None
        """Between sending a frame and receiving its latest prediction."""
        self.reconnections = 0
        self.retry_s: float | None = None
        """When a lost stream is to be opened again."""
        self.reason: ClientError | None = None
        """Why this connection ends, or the last one ended."""
        self._start = start
        self._callbacks = callbacks
        self._timeout_s = timeout_s
        self._keep_alive_s = keep_alive_s
        self._backoff = backoff
        self._credits = Credits(0)
        self._alive: KeepAlive | None = None
        """Of the connection, while there is one."""
        self._loss: tuple[ClientError, range, float] | None = None
        """Reason, unanswered frames and time of a loss that is not made good yet."""
        self._end_wanted = False
        self._marks: dict[int, int] = {}
        """Number of the next frame at each flush."""
        self._mark_seen = 0
        self._scales: dict[int, tuple[float, float]] = {}
        """By how much the images of unanswered frames were reduced."""
        self._arrived: deque[Prediction | RemoteError] = deque()
        self.outgoing: list[str | bytes | Ping] = []
        """What is to be sent, in this order."""
        self.calls: list[Call] = []
        """Callbacks that are due, in this order."""

    # -- the connection -------------------------------------------------------------------------------------------
    def connecting(self, now_s: float) -> None:
        """A connection is being tried."""
        self.state, self.retry_s = "opening", None

    def connected(self, now_s: float) -> None:
        """There is a connection; the stream is asked for."""
        if self.finished:
            return
        self.reason = None
        self._alive = KeepAlive(self._timeout_s, self._keep_alive_s, now_s)
        self._say(encode(self._start), now_s)

    def unreachable(self, error: Unreachable, now_s: float) -> None:
        """The connection could not be made."""
        self._lost(error, now_s)

    def disconnected(self, close: int | None, now_s: float) -> None:
        """The connection has ended, with this close code if there was one."""
        if self.reason is None:
            why = f"close code {close}" if close else "without a close"
            text = f"the connection ended before the stream did ({why}); connect again"
            self._lost(ConnectionLost(text, close), now_s)
        else:
            self._lost(self.reason, now_s)

    def pong(self, now_s: float) -> None:
        if self._alive is not None:
            self._alive.pong(now_s)

    def tick(self, now_s: float) -> float:
        """Look whether something is due; when to look next. The connection is dead when `finished` or `lost` after."""
        if self._alive is None:
            return now_s + self._timeout_s
        act = self._alive.look(now_s)
        if act is Act.PING:
            self.outgoing.append(PING)
        elif act is Act.SPEAK:
            if self.state == "open":
                self.flush(now_s)
            else:
                self._alive.spoke(now_s)
        elif act is not Act.WAIT:
            what = "not answered" if act is Act.UNANSWERED or self.ready is None else "been silent"
            self._lost(ConnectionLost(f"the server has {what} for {self._timeout_s:g} s; connect again"), now_s)
            return now_s
        return self._alive.due_s

    def take_outgoing(self) -> list[str | bytes | Ping]:
        """Take it, to send it."""
        messages, self.outgoing = self.outgoing, []
        return messages

    def take_calls(self) -> list[Call]:
        """Take them, to call them."""
        calls, self.calls = self.calls, []
        return calls

    def callback_failed(self, name: str, error: Exception) -> None:
        """A callback raised: the stream ends, and the program is told where it looks next."""
        failure = CallbackError(f"on_{name} raised {type(error).__name__}: {error}")
        failure.__cause__ = error
        self.fail(failure)

    def fail(self, error: ClientError) -> None:
        """The stream ends with this error, unless it has ended already."""
        if not self.finished:
            self.failure, self.state, self._alive = error, "failed", None

    # -- what to send ---------------------------------------------------------------------------------------------
    @property
    def room(self) -> int:
        """Frames that may be sent now; 0: wait for an answer."""
        return self._credits.room if self.state == "open" and self.reason is None else 0

    def pose(self, people: Packed, pts_s: float | None, now_s: float) -> int:
        """Send the next frame; its number. Raises the stream's failure, or ClientError when it is not open."""
        self._check_open()
        return self._frame(pose_message(self._credits.sent, people, pts_s), now_s)

    def image(self, sent: SentImage, pts_s: float | None, now_s: float) -> int:
        """The same for an image: a JPEG, PNG or WebP file's bytes, or raw RGB uint8 (height, width, 3)."""
        self._check_open()
        if sent.scale != (1.0, 1.0):
            self._scales[self._credits.sent] = sent.scale
        return self._frame(pack_image(self._credits.sent, sent.image, pts_s), now_s)

    def reset(self, track: TrackId | None, now_s: float) -> None:
        """Forget a track. A stream that is being opened again has nothing to forget."""
        if not self._reopening:
            self._check_open()
            self._say(encode(Reset(track=None if track is None else checked_track(track))), now_s)

    def flush(self, now_s: float) -> int:
        """A marker; `flushed(marker)` turns true when everything sent before is answered, or lost."""
        marker = len(self._marks) + 1
        if self._reopening:
            self._marks[marker], self._mark_seen = self._credits.sent, marker
            return marker
        self._check_open()
        self._marks[marker] = self._credits.sent
        self._say(encode(Flush(id=marker)), now_s)
        return marker

    def end(self, now_s: float) -> None:
        """No frame will follow. A stream that is being opened again ends as soon as it is open."""
        if self._reopening:
            self._end_wanted = True
            return
        self._check_open()
        self.state = "ending"
        self._say(encode(End()), now_s)

    # -- what came back -------------------------------------------------------------------------------------------
    def flushed(self, marker: int) -> bool:
        return self._mark_seen >= marker

    @property
    def finished(self) -> bool:
        """Nothing more will arrive."""
        return self.state in ("over", "failed")

    @property
    def connected_now(self) -> bool:
        """The server has admitted the stream, and the connection stands."""
        return self.state in ("open", "ending") and self.reason is None

    @property
    def owed(self) -> bool:
        """The server must answer soon, whatever the client does; otherwise silence may be in order."""
        pending = self._mark_seen < len(self._marks) or self.state in ("opening", "ending")
        return pending or (self.state == "open" and not self.room)

    @property
    def waiting(self) -> int:
        """Predictions that have arrived and were not taken."""
        return len(self._arrived)

    def take(self) -> Prediction | None:
        """The oldest prediction that was not taken yet.

        Raises a survived RemoteError in its turn, and the stream's failure when nothing is left before it.
        """
        if self._arrived:
            first = self._arrived.popleft()
            if isinstance(first, RemoteError):
                raise first
            return first
        if self.finished:
            self.check()
        return None

    def receive(self, data: str | bytes, now_s: float) -> None:
        """Take in one message of the server."""
        if self._alive is None:
            return
        try:
            about = () if self.ready is None else (self.ready.labels, self.ready.lead_s)
            message = decode_reply(data, *about)
        except (ValidationError, BadMessage):
            self.fail(
                ClientError("the server sent a message that this client does not know; update the older of the two")
            )
            return
        self._alive.heard(now_s)
        match message:
            case Prediction():
                if (sent_s := self._credits.sent_s(message.seq)) is not None:
                    self.latency_s = now_s - sent_s
                self._settle(message.seq, more=True)
                if self._callbacks.prediction is None:
                    self._arrived.append(message)
                else:
                    self._call("prediction", self._callbacks.prediction, message)
            case PeopleMessage():
                if (scale := self._scales.get(message.seq)) is not None:
                    message = scaled_people(message, *scale)
                self._call("people", self._callbacks.people, message)
            case Credit():
                self._settle(message.seq)
            case Ready():
                self._admitted(message, now_s)
            case Event():
                self._call("event", self._callbacks.event, message)
            case DecisionMessage():
                self._call("decision", self._callbacks.decision, message)
            case Flushed():
                self._mark_seen = max(self._mark_seen, message.id)
                self._settle(self._marks.get(message.id, 0) - 1)
            case ErrorMessage():
                self._refused(RemoteError(message.code, message.message, message.retryable, message.seq))
            case Summary():
                self.summary = message
                if self.reason is None:
                    self.state, self._alive = "over", None
                else:
                    self._lost(self.reason, now_s)
        if self._alive is not None:
            self._alive.owing(self.owed, now_s)

    def check(self) -> None:
        """Raises the stream's failure, if it has one."""
        if self.failure is not None:
            self.told = True
            raise self.failure

    # -- inside ---------------------------------------------------------------------------------------------------
    def _frame(self, message: str | bytes, now_s: float) -> int:
        seq = self._credits.send(now_s)
        self._say(message, now_s)
        return seq

    @property
    def _reopening(self) -> bool:
        return self.ready is not None and self.state in ("lost", "opening")

    def _admitted(self, ready: Ready, now_s: float) -> None:
        self.ready, self.state = ready, "open"
        self._credits = Credits(ready.credits, self._credits.sent)
        if self._loss is not None:
            reason, unanswered, lost_s = self._loss
            self._loss = None
            self.reconnections += 1
            tries = self._backoff.tries if self._backoff is not None else 0
            about = Reconnection(reason, unanswered, now_s - lost_s, tries, ready)
            self._call("reconnect", self._callbacks.reconnect, about)
        if self._end_wanted:
            self._end_wanted = False
            self.end(now_s)

    def _refused(self, error: RemoteError) -> None:
        if error.fatal:
            if self.state == "ending" and error.code == Draining.code:  # a stream that ends anyway need not hurry
                return
            self.reason = error  # results may still come; the close that follows ends this connection
            if self._backoff is None or not error.retryable:
                self.failure = error
            return
        if error.seq is not None:
            self._settle(error.seq)
        if self._callbacks.error is not None:
            self._call("error", self._callbacks.error, error)
        else:
            self._arrived.append(error)

    def _lost(self, reason: ClientError, now_s: float) -> None:
        """The connection is no more: wait for another, or fail."""
        if self.state in ("over", "failed", "lost"):
            return
        self._alive, self.reason = None, reason
        self.outgoing.clear()
        again = self._backoff is not None and reason.retryable and self.state != "ending"
        retry_s = self._backoff.next_s(now_s) if self._backoff is not None and again else None
        if retry_s is None:
            self.failure, self.state = reason, "failed"
            return
        if self.ready is not None and self._loss is None:
            self._loss = (reason, self._credits.unanswered, now_s)
        self._mark_seen = len(self._marks)  # what was lost will not be answered
        self.state, self.retry_s = "lost", retry_s

    def _settle(self, seq: int, more: bool = False) -> None:
        self._credits.settle(seq, more)
        for sent in [sent for sent in self._scales if sent < seq]:
            del self._scales[sent]
        if self._backoff is not None:
            self._backoff.succeeded()

    def _call(self, name: str, callback: Callable[[Any], None] | None, about: object) -> None:
        if callback is not None:
            self.calls.append((name, partial(callback, about)))

    def _say(self, message: str | bytes, now_s: float) -> None:
        self.outgoing.append(message)
        if self._alive is not None:
            self._alive.spoke(now_s)
            self._alive.owing(self.owed, now_s)

    def _check_open(self) -> None:
        self.check()
        if self.state != "open" or self._end_wanted:
            raise ClientError(f"the stream is not open but {'ending' if self._end_wanted else self.state}")
