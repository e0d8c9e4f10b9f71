"""One stream of a load, over a real socket: when each of its frames was sent and answered, and what became of the rest.

Three ways to speak: to the service (`Inkling`), to a WebSocket handler that answers message by message (`Plain`), and
by HTTP to a server that keeps nothing, so that the client carries the model's state (`Http`).
"""

from __future__ import annotations

import asyncio
import json
import time
from array import array
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import urlsplit

from tests.benchmarks.wire import CLOSE, PING, PONG, TEXT, Payload, framed, messages, settled_by

NAN = float("nan")
Results = Literal["json", "packed"]
UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
POST = (
    "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Group:
    """Streams that do the same.

    hz: frames a second of each stream, sent on time whether answers come or not; 0: a closed loop, in which each stream
    keeps `window` frames unanswered (the service: as many as its credits allow, if fewer) until it has sent `frames`,
    or the time is over. pts_hz: frames a second by their timestamps; 0: as sent, in a closed loop the model's rate, so
    that every frame is a step. state_bytes: of the model's state, which a client of kind `http` carries. pictures: of
    payload `jpeg`, a directory of JPEGs to send in the order of their names; "": made-up ones.
    """

    url: str
    kind: Literal["inkling", "plain", "http"] = "inkling"
    bundle: str = "body-actions"
    payload: Literal["packed", "bare", "json", "jpeg"] = "packed"
    results: Results = "json"
    streams: int = 1
    hz: float = 0.0
    pts_hz: float = 0.0
    window: int = 8
    frames: int = 0
    state_bytes: int = 0
    pictures: str = ""


class Stream(asyncio.Protocol):
    """What all three have in common: pacing and the books."""

    def __init__(self, group: Group, payload: Payload) -> None:
        loop = asyncio.get_running_loop()
        where = urlsplit(group.url)
        self.host, self.path = where.netloc, where.path
        self.group, self.payload = group, payload
        self.window = group.window
        self.pts_step_s = 1 / (group.pts_hz or group.hz or 15.0)
        self.sent_s = array("d")
        self.answered_s = array("d")
        self.settled_s = array("d")
        """When each frame, by its number, was sent, answered, and settled, answered or not; NaN: it was not."""
        self.settled = -1
        self.answer_bytes = 0
        self.errors = 0
        self.summary: dict[str, int] | None = None
        self.closed_until_s: float | None = None
        self.ready: asyncio.Future[None] = loop.create_future()
        self.over: asyncio.Future[None] = loop.create_future()
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's: nothing to assert.
        self.transport = cast(asyncio.WriteTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("the server closed before the stream was ready"))
        if not self.over.done():
            self.over.set_result(None)

    def frame(self) -> bytes:
        """The next frame, noted as sent now."""
        seq = len(self.sent_s)
        message = self.payload.frame(seq, seq * self.pts_step_s)
        self.answered_s.append(NAN)
        self.settled_s.append(NAN)
        self.sent_s.append(time.perf_counter())
        return message

    def send_frame(self) -> None:
        self.transport.write(self.frame())

    def begin_closed_loop(self, until_s: float) -> None:
        self.closed_until_s = until_s
        self.refill(time.perf_counter())

    def refill(self, now_s: float) -> None:
        """In a closed loop: send what the answers make room for."""
        if self.closed_until_s is None or self.over.done():
            return
        limit = self.group.frames
        if now_s >= self.closed_until_s or (limit and len(self.sent_s) >= limit):
            self.closed_until_s = None
            self.end()
            return
        room = self.window - (len(self.sent_s) - self.settled - 1)
        if limit:
            room = min(room, limit - len(self.sent_s))
        if room > 0:
            self.transport.write(b"".join([self.frame() for _ in range(room)]))

    def answered(self, seq: int, now_s: float) -> None:
        self.answered_s[seq] = now_s
        self.settle(seq, now_s)

    def settle(self, seq: int, now_s: float) -> None:
        """Nothing more will be said of the frames up to `seq`, unless it is of somebody else in that one."""
        for frame in range(self.settled + 1, seq + 1):
            self.settled_s[frame] = now_s
        self.settled = max(self.settled, seq)

    def end(self) -> None:
        """No frame follows: finish what is under way, then part."""
        raise NotImplementedError

    @property
    def lost(self) -> int:
        """Frames of which nobody ever said what became of them."""
        answers = sum(1 for at in self.answered_s if at == at)
        said = self.summary
        if said is None:
            return len(self.sent_s) - answers
        unsaid = len(self.sent_s) - said["stepped"] - said["skipped"] - said["dropped"] - said["refused"]
        return abs(unsaid) + abs(said["stepped"] - answers)


class Plain(Stream):
    """A WebSocket on which every message is answered by one, in order."""

    upgraded = False
    ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(UPGRADE.format(path=self.path, host=self.host).encode())

    def opened(self) -> None:
        self.ready.set_result(None)

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        if self._rest:
            data = self._rest + data
        if not self.upgraded:
            end = data.find(b"\r\n\r\n") + 4
            if end < 4:
                self._rest = data
                return
            if b" 101 " not in data[:16]:
                self.transport.close()
                return
            self.upgraded = True
            self.opened()
            data = data[end:]
        at = 0
        for opcode, begin, end in messages(data):
            if opcode < CLOSE:
                self.take(data, opcode, begin, end, now_s)
            elif opcode == PING:
                self.transport.write(framed(PONG, data[begin:end]))
            at = end
        self._rest = data[at:]
        self.refill(now_s)

    def take(self, data: bytes, opcode: int, begin: int, end: int, now_s: float) -> None:
        self.answer_bytes += end - begin
        self.answered(self.settled + 1, now_s)
        if self.ending and self.settled == len(self.sent_s) - 1:
            self.transport.close()

    def end(self) -> None:
        self.ending = True
        if self.settled == len(self.sent_s) - 1:
            self.transport.close()


class Inkling(Plain):
    """A stream of the service."""

    def opened(self) -> None:
        start = {"type": "start", "bundle": self.group.bundle, "input": "pose", "skeleton": "coco17"}
        if self.group.payload == "jpeg":
            start |= {"input": "frame"}
            del start["skeleton"]
        if self.group.results == "packed":
            start |= {"results": "packed"}
        self.transport.write(framed(TEXT, json.dumps(start).encode()))

    def take(self, data: bytes, opcode: int, begin: int, end: int, now_s: float) -> None:
        kind, seq = settled_by(data, opcode, begin)
        if kind == "p":
            self.answer_bytes += end - begin
            self.answered(seq, now_s)
        elif kind == "c":
            self.settle(seq, now_s)
        elif kind == "r":
            ready = json.loads(data[begin:end])
            self.window = min(self.window, ready["credits"])
            if not self.group.hz and not self.group.pts_hz:
                self.pts_step_s = 1 / ready["rate_hz"]
            self.ready.set_result(None)
        elif kind == "s":
            self.summary = json.loads(data[begin:end])
            self.transport.close()
        elif data.startswith(b'{"type":"error"', begin):
            self.errors += 1

    def end(self) -> None:
        self.transport.write(framed(TEXT, b'{"type":"end"}'))


class Http(Stream):
    """A request a frame: pose and state there, the next state and the probabilities back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        body = len(self.payload.frame(0, 0.0)) + self.group.state_bytes
        self._head = POST.format(path=self.path, host=self.host, size=body).encode()
        self._state = bytes(self.group.state_bytes)
        self.window = 1  # the next step needs this one's state
        self.ready.set_result(None)

    def frame(self) -> bytes:
        return self._head + super().frame() + self._state

    def data_received(self, data: bytes) -> None:
        now_s = time.perf_counter()
        data = self._rest + data if self._rest else data
        head = data.find(b"\r\n\r\n") + 4
        lower = data[:head].lower()
        at = lower.find(b"content-length:") + 15
        if head < 4 or len(data) < head + int(lower[at : lower.index(b"\r", at)]):
            self._rest = data
            return
        self._rest = b""
        if b" 200 " not in data[: data.index(b"\r")]:
            self.errors += 1
            self.transport.close()
            return
        self._state = data[head : head + self.group.state_bytes]
        self.answer_bytes += len(data) - head - self.group.state_bytes
        self.answered(self.settled + 1, now_s)
        self.refill(now_s)

    def end(self) -> None:
        self.transport.close()


KINDS: dict[str, type[Stream]] = {"inkling": Inkling, "plain": Plain, "http": Http}
