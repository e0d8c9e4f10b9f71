"""How attackers speak: raw sockets with a deadline, whole HTTP requests, and WebSockets by hand."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from websockets.frames import Frame, Opcode

from tests.attacks.attack import HANGS, Got
from tests.attacks.server import Victim
from tests.benchmarks import wire

WAIT_S = 20.0
"""For an answer."""
CHUNK = 64 * 1024


@contextlib.contextmanager
def connected(target: Victim, wait_s: float = WAIT_S) -> Iterator[socket.socket]:
    with socket.create_connection((target.host, target.port), wait_s) as raw:
        yield raw


def request_head(target: Victim, path: str, *headers: str, method: str = "POST") -> bytes:
    lines = (f"{method} {path} HTTP/1.1", f"Host: {target.host}:{target.port}", *headers)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def outcome(raw: socket.socket, wait_s: float = WAIT_S) -> str:
    """What a client of HTTP hears: status and error code, `closed`, or HANGS."""
    raw.settimeout(wait_s)
    data = b""
    try:
        while not _whole(data):
            part = raw.recv(CHUNK)
            if not part:
                break
            data += part
    except TimeoutError:
        return HANGS
    except OSError:
        pass
    return said(data) if data else "closed"


def said(answer: bytes) -> str:
    """The status and the error code in an answer of HTTP."""
    status = answer[9:12].decode(errors="replace")
    code = re.search(rb'"code":\s*"(\w+)"', answer)
    return f"{status} {code.group(1).decode()}" if code else status


def _whole(data: bytes) -> bool:
    head, found, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"content-length:\s*(\d+)", head, re.IGNORECASE)
    return bool(found) and length is not None and len(body) >= int(length.group(1))


def pour(raw: socket.socket, parts: Iterable[bytes], until_s: float = float("inf")) -> bool:
    """Send, until the other side has had enough, or the time is over. Returns whether it was all sent."""
    try:
        for part in parts:
            if time.monotonic() > until_s:
                return False
            raw.sendall(part)
    except OSError:
        return False
    return True


def post(target: Victim, path: str, body: bytes, *headers: str, wait_s: float = WAIT_S) -> str:
    """One whole request; the answer may come before it has been sent."""
    with connected(target, wait_s) as raw:
        head = request_head(target, path, f"Content-Length: {len(body)}", "Connection: close", *headers)
        pour(raw, [head, body])
        return outcome(raw, wait_s)


def at_once(count: int, work: Callable[[int], str]) -> Got:
    """`work` in so many threads; counts what they return. A failed connection is `closed`."""
    got: Got = Counter()
    lock = threading.Lock()

    def run(number: int) -> None:
        try:
            result = work(number)
        except TimeoutError:
            result = HANGS
        except OSError:
            result = "closed"
        with lock:
            got[result] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


# -- WebSockets -----------------------------------------------------------------------------------------------------
def frame(opcode: Opcode, payload: bytes = b"", *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True)


def text(message: str | bytes | dict[str, Any]) -> bytes:
    if isinstance(message, dict):
        message = json.dumps(message)
    return frame(Opcode.TEXT, message.encode() if isinstance(message, str) else message)


def upgrade(target: Victim, path: str = "/v1/stream") -> bytes:
    return request_head(
        target,
        path,
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        method="GET",
    )


@contextlib.contextmanager
def websocket(target: Victim, path: str = "/v1/stream", start: dict[str, Any] | None = None) -> Iterator[socket.socket]:
    """A WebSocket, after its handshake; with `start` also after `ready`."""
    with connected(target) as raw:
        raw.sendall(upgrade(target, path))
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += raw.recv(1) or _gone()
        if b" 101 " not in head:
            raise ConnectionError(head.decode(errors="replace"))
        if start is not None:
            raw.sendall(text({"type": "start", **start}))
            hear(raw, lambda message: b'"ready"' in message)
        yield raw


def _gone() -> bytes:
    raise ConnectionError("closed")


def replies(raw: socket.socket) -> Iterator[tuple[int, bytes]]:
    """(opcode, payload) of what the server sends, until it closes. Raises TimeoutError, OSError."""
    data = b""
    while True:
        size = 0
        for opcode, begin, end in wire.messages(data):
            yield opcode, data[begin:end]
            size = end
        data = data[size:]
        part = raw.recv(CHUNK)
        if not part:
            return
        data += part


def parsed(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(opcode, payload) of each whole message."""
    return ((opcode, data[begin:end]) for opcode, begin, end in wire.messages(data))


def one_of(answers: Iterator[tuple[int, bytes]]) -> tuple[int, bytes]:
    """The next of `replies`. Raises ConnectionError when the server closes before."""
    for answer in answers:
        return answer
    raise ConnectionError("closed")


def hear(raw: socket.socket, wanted: Callable[[bytes], bool]) -> bytes:
    """The next message that is wanted. Raises ConnectionError when the server closes before."""
    for _, payload in replies(raw):
        if wanted(payload):
            return payload
    raise ConnectionError("closed")


def fate(raw: socket.socket, wait_s: float = WAIT_S) -> str:
    """The close code and the last error of a WebSocket that is read to its end; `closed`, or HANGS."""
    end_s = time.monotonic() + wait_s
    code, close = "", ""
    try:
        raw.settimeout(wait_s)
        for opcode, payload in replies(raw):
            if opcode == Opcode.CLOSE:
                close = str(int.from_bytes(payload[:2], "big"))
                break
            if opcode == Opcode.TEXT and b'"error"' in payload[:20]:
                code = json.loads(payload)["code"]
            if time.monotonic() > end_s:
                return code or HANGS
    except TimeoutError:
        return code or HANGS
    except OSError:
        pass
    return f"{close} {code}".strip() or "closed"


def said_by(opcode: int, payload: bytes) -> str:
    """In a word what a message of the server says: `prediction`, an error's code, `closed` with its code."""
    if opcode == Opcode.CLOSE:
        return f"closed {int.from_bytes(payload[:2], 'big')}"
    if opcode == Opcode.TEXT:
        message = json.loads(payload)
        return str(message["code"] if message["type"] == "error" else message["type"])
    return "prediction" if opcode == Opcode.BINARY else "pong"


def streams(target: Victim) -> list[str]:
    """Ids of the open streams, the newest last."""
    with urllib.request.urlopen(f"{target.url}/v1/streams", timeout=WAIT_S) as answer:  # noqa: S310
        return [row["stream"] for row in json.load(answer)]
