"""A load of pose streams over real sockets, from a process of its own: what many cameras send, and when answers come.

    python -m tests.benchmarks.load URL --streams 32 --hz 30 --seconds 5 [--closed]

Open loop by default: every stream sends its frames on time, at jittered starts, whether answers come or not. `--closed`
keeps each stream's credits used up instead, which measures throughput. One JSON object is the last line.

The client speaks just enough WebSocket (RFC 6455) by hand to cost little: a generator that is slower than the server
measures itself. The masking key is zero, which masks by leaving the payload as it is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import numpy as np

from service.demo.figure import pose

UPGRADE = (
    "GET /v1/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def text_frame(payload: bytes) -> bytes:
    """One masked text frame."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes([0x80 | size]) + bytes(4) + payload
    return b"\x81\xfe" + size.to_bytes(2, "big") + bytes(4) + payload


@dataclass
class Tally:
    """What all streams saw."""

    latencies_s: list[float] = field(default_factory=list)
    sent: int = 0
    answered: int = 0
    dropped: int = 0
    errors: int = 0
    lost: int = 0


class Stream(asyncio.Protocol):
    """One connection: start, frames, end."""

    def __init__(
        self, host: str, bundle: str, policy: str, bodies: list[bytes], pts_step_s: float, tally: Tally
    ) -> None:
        start = {"type": "start", "bundle": bundle, "input": "pose", "skeleton": "coco17", "policy": policy}
        self._start = json.dumps(start).encode()
        self._host, self._bodies, self._pts_step_s, self._tally = host, bodies, pts_step_s, tally
        self._buffer = bytearray()
        self._upgraded = False
        self._sent_at: dict[int, float] = {}
        self.seq = 0
        self.settled = -1
        self.credits = 0
        self.rate_hz = 15.0
        self.closed_loop_until: float | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's: nothing to assert.
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(UPGRADE.format(host=self._host).encode())

    def send_frame(self) -> None:
        """The next frame, now."""
        seq = self.seq
        self.seq += 1
        head = b'{"type":"pose","seq":%d,"pts_s":%.4f,"people":' % (seq, seq * self._pts_step_s)
        self._sent_at[seq] = time.perf_counter()
        self._tally.sent += 1
        self._transport.write(text_frame(head + self._bodies[seq % len(self._bodies)]))

    def end(self) -> None:
        self._transport.write(text_frame(b'{"type":"end"}'))

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        self._buffer += data
        if not self._upgraded:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            del self._buffer[: end + 4]
            self._upgraded = True
            self._transport.write(text_frame(self._start))
        while (message := self._next_message()) is not None:
            self._take(message, now)

    def _next_message(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, begin = buffer[1] & 0x7F, 2
        if size == 126:
            if len(buffer) < 4:
                return None
            size, begin = int.from_bytes(buffer[2:4], "big"), 4
        if len(buffer) < begin + size:
            return None
        opcode = buffer[0] & 0x0F
        payload = bytes(buffer[begin : begin + size])
        del buffer[: begin + size]
        return payload if opcode == 1 else b""

    def _take(self, message: bytes, now: float) -> None:
        if message.startswith((b'{"type":"prediction"', b'{"type":"credit"')):
            at = message.index(b'"seq":') + 6
            seq = int(message[at : message.index(b",", at)])
            sent = self._sent_at.get(seq)
            if sent is not None and message.startswith(b'{"type":"p'):
                self._tally.latencies_s.append(now - sent)
                self._tally.answered += 1
            for old in range(self.settled + 1, seq + 1):
                self._sent_at.pop(old, None)
            self.settled = max(self.settled, seq)
            self._refill(now)
        elif message.startswith(b'{"type":"ready"'):
            ready = json.loads(message)
            self.credits, self.rate_hz = ready["credits"], ready["rate_hz"]
            self.ready.set_result(None)
        elif message.startswith(b'{"type":"summary"'):
            summary = json.loads(message)
            self._tally.dropped += summary["dropped"]
            counted = summary["stepped"] + summary["skipped"] + summary["dropped"] + summary["refused"]
            self._tally.lost += self.seq - counted
            self._transport.close()
        elif message.startswith(b'{"type":"error"'):
            self._tally.errors += 1

    def _refill(self, now: float) -> None:
        if self.closed_loop_until is None:
            return
        if now >= self.closed_loop_until:
            self.closed_loop_until = None
            self.end()
            return
        while self.seq - self.settled - 1 < self.credits:
            self.send_frame()

    def begin_closed_loop(self, until: float) -> None:
        self.closed_loop_until = until
        self._refill(time.perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("the server closed before ready"))
        self.over.set_result(None)


def pose_bodies(count: int = 30) -> list[bytes]:
    """JSON of the people of `count` frames of the demo's figure."""
    bodies = pose("jumping_jacks", np.arange(count) / 30).astype(float).round(2).tolist()
    return [json.dumps([{"track": 1, "keypoints": body}]).encode() + b"}" for body in bodies]


async def run(url: str, bundle: str, streams: int, hz: float, seconds: float, *, closed: bool) -> dict[str, float]:
    """Run one load and say what was seen. Latencies are of frames that got a prediction, in milliseconds."""
    loop = asyncio.get_running_loop()
    where = urlsplit(url)
    host, port = where.hostname or "127.0.0.1", where.port or 80
    tally, bodies = Tally(), pose_bodies()
    # in a closed loop every frame is one step of the model's clock
    step_s = 1 / 15 if closed else 1 / hz
    policy = "block" if closed else "drop_oldest"
    clients: list[Stream] = []
    for _ in range(streams):
        _, client = await loop.create_connection(
            lambda: Stream(f"{host}:{port}", bundle, policy, bodies, step_s, tally), host, port
        )
        clients.append(client)
    await asyncio.gather(*(client.ready for client in clients))
    begin = time.perf_counter()
    if closed:
        for client in clients:
            client.begin_closed_loop(begin + seconds)
    else:
        jitter = random.Random(0)
        await asyncio.gather(*(_paced(client, jitter.random() / hz, hz, seconds) for client in clients))
    elapsed = time.perf_counter() - begin
    async with asyncio.timeout(30 + seconds):
        await asyncio.gather(*(client.over for client in clients))
    if closed:
        elapsed = seconds
    found = np.array(tally.latencies_s) * 1e3
    p50, p99 = (float(np.percentile(found, q)) for q in (50, 99)) if len(found) else (float("nan"), float("nan"))
    return {
        "streams": streams,
        "hz": hz,
        "sent": tally.sent,
        "answered": tally.answered,
        "answered_per_s": round(tally.answered / elapsed, 1),
        "p50_ms": round(p50, 2),
        "p99_ms": round(p99, 2),
        "dropped": tally.dropped,
        "lost": tally.lost,
        "errors": tally.errors,
    }


async def _paced(client: Stream, delay_s: float, hz: float, seconds: float) -> None:
    """Send at `hz` on an absolute schedule, so that a late frame does not delay those after it."""
    begin = time.perf_counter() + delay_s
    for i in range(int(seconds * hz)):
        wait = begin + i / hz - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        client.send_frame()
    await asyncio.sleep(0.5)  # the last frames are answered as the others were
    client.end()


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--bundle", default="body-actions")
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--hz", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--closed", action="store_true")
    wish = parser.parse_args()
    load = run(wish.url, wish.bundle, wish.streams, wish.hz, wish.seconds, closed=wish.closed)
    print(json.dumps(uvloop.run(load)))


if __name__ == "__main__":
    main()
