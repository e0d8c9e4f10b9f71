"""What each part saves that exists only for speed: microseconds a message, beside the plain way to do the same.

    python -m tests.benchmarks.fast_paths [--rounds 5] [--seconds 2]

The heads of `protocol/fast_prediction.py`, `websocket/framing.py` and `websocket/transport.py` quote it. Times are of
the thread that does the work, the least of many runs, so that other work on the machine counts little; what is quoted
is the ratio.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import uvicorn
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from inkling.service.memory_account import MemoryAccount
from inkling.service.protocol.codec import encode, pack_pose
from inkling.service.protocol.fast_prediction import JsonPredictions, unchecked_prediction
from inkling.service.protocol.messages import Prediction
from inkling.service.protocol.prediction_format import PredictionMessages
from inkling.service.protocol.prediction_value import PredictionValue
from inkling.service.websocket.framing import Splitter, text_frame
from inkling.service.websocket.transport import EXTENSION, StreamTransport
from tests.benchmarks.alternatives.echo import SETTINGS
from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread

CALLS = 1000
MESSAGES, WINDOW = 2000, 8
LABELS = tuple(f"action {k}" for k in range(15))
VALUE = PredictionValue(12345, 823.0, 1, 3, [round(1 / 15, 6)] * 15, b"", 0, None, 0, 0, 0)
POSE = Frame(Opcode.BINARY, pack_pose(1, [1], np.zeros((1, 17, 3), np.float32), 0.5)).serialize(mask=True)
TEXT = encode(PredictionMessages(LABELS, None)(VALUE))


def timed(call: Callable[[], object], seconds: float) -> float:
    """Microseconds a call, the least of runs of `CALLS` calls."""
    least = float("inf")
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        begin_s = time.thread_time()
        for _ in range(CALLS):
            call()
        least = min(least, time.thread_time() - begin_s)
    return least / CALLS * 1e6


def parse() -> object:
    """The plain way to read one frame, as uvicorn does it."""
    protocol.receive_data(POSE)
    return protocol.events_received()


protocol = ServerProtocol(max_size=2**20)
protocol.state = protocol.state.OPEN
protocol.parser = protocol.parse()  # past its handshake
next(protocol.parser)
splitter = Splitter(2**20)
as_json, as_message = JsonPredictions(LABELS, None), PredictionMessages(LABELS, None)
FIELDS = {name: value for name, value in as_message(VALUE).__dict__.items() if name != "type"}

PAIRS: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
    # name: (the fast way, the plain one)
    "a prediction as a message": (
        lambda: unchecked_prediction(VALUE, "action 3", VALUE.probabilities, None),
        lambda: Prediction(**FIELDS),
    ),
    "a prediction as JSON": (lambda: as_json(VALUE), lambda: encode(Prediction(**FIELDS))),
    "reading a frame": (lambda: splitter.feed(POSE), parse),
    "writing a frame": (
        lambda: text_frame(TEXT.encode()),
        lambda: Frame(Opcode.TEXT, TEXT.encode()).serialize(mask=False),
    ),
}


class Echo:
    """A `Sink` that answers each message at once."""

    def __init__(self, transport: StreamTransport) -> None:
        self.transport = transport
        self.ended = asyncio.Event()

    def message(self, data: str | bytes) -> bool:
        self.transport.write(data)
        return False

    def gone(self) -> None:
        self.ended.set()

    def all_sent(self) -> None:
        pass

    def too_slow(self, why: str) -> None:
        raise AssertionError("fewer messages are under way than may wait")


def echoed(*, direct: bool) -> float:
    """Microseconds of the server's thread for each of `MESSAGES` echoed, through a sink or through ASGI."""
    taken: list[float] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        begin_s = time.thread_time()
        if direct:
            echo = Echo(scope["extensions"][EXTENSION]["connection"])
            echo.transport.deliver_to(echo, MESSAGES, MemoryAccount(2**26).share("images"))
            echo.transport.resume()
            await echo.ended.wait()
        else:
            while (message := await receive())["type"] == "websocket.receive":
                await send({"type": "websocket.send", "bytes": message["bytes"]})
        taken.append(time.thread_time() - begin_s)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", **{**SETTINGS, "ws": StreamTransport}))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            with socket.create_connection(listener.getsockname()) as client:
                exchange(client)
        finally:
            server.should_exit = True
            thread.join()
    return taken[0] / MESSAGES * 1e6


def exchange(client: socket.socket) -> None:
    """Send `MESSAGES` poses, `WINDOW` at a time, and read as many back."""
    client.sendall(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    data = b""
    while not data.endswith(b"\r\n\r\n"):
        data += client.recv(4096)
    for _ in range(MESSAGES // WINDOW):
        client.sendall(POSE * WINDOW)
        left = (len(POSE) - 4) * WINDOW  # unmasked
        while left:
            left -= len(client.recv(left))


def measure(rounds: int, seconds: float) -> Result:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in (*PAIRS, "a message in and out")}
    share_s = seconds / (2 * len(PAIRS))
    for _ in range(rounds):
        for name, (fast, plain) in PAIRS.items():
            found[name].append((timed(fast, share_s), timed(plain, share_s)))
        found["a message in and out"].append((echoed(direct=True), echoed(direct=False)))
    return {
        name: {
            "fast_us": Spread.of([fast for fast, _ in pairs]).as_json(),
            "plain_us": Spread.of([plain for _, plain in pairs]).as_json(),
            "ratio": Spread.of([plain / fast for fast, plain in pairs]).as_json(),
        }
        for name, pairs in found.items()
    }


def rows(result: Result) -> list[Row]:
    shown = []
    for name, found in result.items():
        shown.append(Row(f"{name}, µs", f"{spread(found['fast_us']):.2f}"))
        shown.append(Row("the plain way, µs", f"{spread(found['plain_us']):.2f}"))
        shown.append(Row("times as long", f"{spread(found['ratio']):.1f}"))
    return shown


BENCHMARK = Benchmark("fast_paths", __doc__ or "", measure, rows)

if __name__ == "__main__":
    BENCHMARK.run()
