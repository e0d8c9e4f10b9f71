"""The client's half of a stream, without sockets: what to send, what an answer means, how many frames may be under way.

Pure: text and bytes go in and out, time comes in as `now_s` (any clock that only rises). `blocking` and `aio`
put it on a socket.

    opening --ready--> open --end()--> ending --summary--> over
          (an error that closes the stream, or a lost connection, leads to `failed` from anywhere)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import ValidationError
from websockets.exceptions import ConnectionClosed

from inkling.models.errors import InklingError
from inkling.service.protocol.codec import (
    Credit,
    DecisionMessage,
    End,
    ErrorMessage,
    Event,
    Flush,
    Flushed,
    Prediction,
    Ready,
    Reset,
    Start,
    Summary,
    decode_reply,
    encode,
    pack_pose,
)
from inkling.service.protocol.errors import BadMessage, Draining, ServiceError
from inkling.service.protocol.image_binary import Pixels, pack_image

People = ArrayLike | Mapping[int, ArrayLike]
"""One person's keypoints (J, C), or several people's by their track; C: x, y(, z), and optionally a confidence.

A joint is missing where its confidence is 0 or any of its numbers is NaN."""

State = Literal["opening", "open", "ending", "over", "failed"]
TRACK = 1
"""The track of a person who is sent without one."""

_survived = {kind.code for kind in ServiceError.__subclasses__() if kind.close is None}


class ClientError(InklingError):
    """The client cannot go on; its text says what to do."""


class Unreachable(ClientError):
    """Nobody answers at that address, or not in time."""


class ConnectionLost(ClientError):
    """The connection ended before the summary. `close`: its WebSocket close code."""

    def __init__(self, message: str, close: int | None = None) -> None:
        super().__init__(message)
        self.close = close


class RemoteError(ClientError):
    """The server refused something. `code` and `retryable` as in the protocol, `seq` the refused frame if it was one.

    `fatal`: the stream (or request) ended with it; otherwise only that frame or person was refused.
    """

    def __init__(self, code: str, message: str, retryable: bool, seq: int | None = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.retryable = retryable
        self.seq = seq
        self.fatal = code not in _survived


class ClientStream:
    """Bookkeeping of one stream; `on_event`, `on_decision` and `on_error` are called from within `receive`.

    Errors that the stream survives go to `on_error`; without one the next `take` raises them.
    """

    def __init__(
        self,
        start: Start,
        on_event: Callable[[Event], None] | None = None,
        on_error: Callable[[RemoteError], None] | None = None,
        on_decision: Callable[[DecisionMessage], None] | None = None,
    ) -> None:
        self.state: State = "opening"
        self.ready: Ready | None = None
        self.summary: Summary | None = None
        self.failure: ClientError | None = None
        self.latency_s: float | None = None
        """Between sending a frame and receiving its latest prediction."""
        self._start = start
        self._on_event = on_event
        self._on_error = on_error
        self._on_decision = on_decision
        self._sent = 0
        self._settled = 0
        """Every frame below it is answered, skipped, dropped or refused."""
        self._sent_at: dict[int, float] = {}
        self._marks: dict[int, int] = {}
        """Frames sent before each flush."""
        self._mark_seen = 0
        self._arrived: deque[Prediction | RemoteError] = deque()

    # -- what to send ---------------------------------------------------------------------------------------------
    def start(self) -> str:
        return encode(self._start)

    @property
    def room(self) -> int:
        """Frames that may be sent now; 0: wait for an answer."""
        return 0 if self.ready is None else max(self.ready.credits - (self._sent - self._settled), 0)

    def pose(self, people: People, pts_s: float | None, now_s: float) -> tuple[int, bytes]:
        """The sequence number and the packed message of the next frame.

        Raises ValueError when `people` cannot be packed, the stream's failure, or ClientError when it has ended.
        """
        self._check_open()
        tracks, keypoints = pack_people(people)
        return self._frame(pack_pose(self._sent, tracks, keypoints, pts_s), now_s)

    def image(self, image: bytes | Pixels, pts_s: float | None, now_s: float) -> tuple[int, bytes]:
        """The same for an image: a JPEG, PNG or WebP file's bytes, or raw RGB uint8 (height, width, 3)."""
        self._check_open()
        return self._frame(pack_image(self._sent, image, pts_s), now_s)

    def _frame(self, message: bytes, now_s: float) -> tuple[int, bytes]:
        seq = self._sent
        self._sent += 1
        self._sent_at[seq] = now_s
        return seq, message

    def reset(self, track: int | None) -> str:
        self._check_open()
        return encode(Reset(track=track))

    def flush(self) -> tuple[int, str]:
        """A marker and its message; `flushed(marker)` turns true when everything sent before is answered."""
        self._check_open()
        marker = len(self._marks) + 1
        self._marks[marker] = self._sent
        return marker, encode(Flush(id=marker))

    def end(self) -> str:
        self._check_open()
        self.state = "ending"
        return encode(End())

    # -- what came back -------------------------------------------------------------------------------------------
    def flushed(self, marker: int) -> bool:
        return self._mark_seen >= marker

    @property
    def finished(self) -> bool:
        """Nothing more will arrive."""
        return self.state in ("over", "failed")

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
        """Take in one message of the server. Raises ClientError when it is none that this release knows."""
        try:
            message = decode_reply(data, () if self.ready is None else self.ready.labels)
        except (ValidationError, BadMessage):
            raise ClientError(
                "the server sent a message that this client does not know; update the older one"
            ) from None
        match message:
            case Ready():
                self.ready = message
                self.state = "open"
            case Prediction():
                if message.seq in self._sent_at:
                    self.latency_s = now_s - self._sent_at[message.seq]
                self._settle(message.seq, more=True)
                self._arrived.append(message)
            case Credit():
                self._settle(message.seq)
            case Event():
                if self._on_event is not None:
                    self._on_event(message)
            case DecisionMessage():
                if self._on_decision is not None:
                    self._on_decision(message)
            case Flushed():
                self._mark_seen = message.id
                self._settle(self._marks.get(message.id, 0) - 1)
            case ErrorMessage():
                self._refused(RemoteError(message.code, message.message, message.retryable, message.seq))
            case Summary():
                self.summary = message
                self.state = "over"

    def closed(self, error: ConnectionClosed) -> None:
        """The connection has ended; `failure` is set unless that was in order."""
        if self.state == "over":
            return
        if self.failure is None:
            code = error.rcvd.code if error.rcvd else None
            why = f"close code {code}" if code else "without a close"
            self.failure = ConnectionLost(f"the connection ended before the stream did ({why}); connect again", code)
        self.state = "failed"

    def check(self) -> None:
        """Raises the stream's failure, if it has one."""
        if self.failure is not None:
            raise self.failure

    def _refused(self, error: RemoteError) -> None:
        if error.fatal:
            if self.state != "ending" or error.code != Draining.code:  # a stream that ends anyway need not hurry
                self.failure = error  # results may still come; the close that follows makes the stream `failed`
            return
        if error.seq is not None:
            self._settle(error.seq)
        if self._on_error is not None:
            self._on_error(error)
        else:
            self._arrived.append(error)

    def _settle(self, seq: int, more: bool = False) -> None:
        """Frames up to `seq` are answered. more: other people of frame `seq` may follow, remember when it was sent."""
        for settled in [sent for sent in self._sent_at if sent < seq + (not more)]:
            del self._sent_at[settled]
        self._settled = max(self._settled, min(seq + 1, self._sent))

    def _check_open(self) -> None:
        self.check()
        if self.state != "open":
            raise ClientError(f"the stream is not open but {self.state}")


def pack_people(people: People) -> tuple[list[int], NDArray[np.float32]]:
    """Track ids and float32 (P, J, C) of one frame; joints with a NaN become zeros, that is missing.

    Raises ValueError when people differ in their number of joints, or a person is not (J, C).
    """
    given = people if isinstance(people, Mapping) else {TRACK: people}
    arrays = [np.array(keypoints, dtype=np.float32) for keypoints in given.values()]
    if not arrays:
        return [], np.zeros((0, 0, 0), np.float32)
    for array in arrays:
        if array.ndim != 2 or array.shape != arrays[0].shape:
            raise ValueError(f"each person is an array (joints, numbers), alike in one frame, not {array.shape}")
    keypoints = np.stack(arrays)
    keypoints[np.isnan(keypoints).any(axis=-1)] = 0
    return list(given), keypoints
