"""Malformed messages against the codec and against a real server.

    python -m tests.attacks.fuzz [--messages 1000000] [--seed 0]

Each message goes through `decode`, which may raise a ServiceError and nothing else, and over a WebSocket to a server:
half of the connections say `start` first, of poses or of images. A connection that the server closes is replaced by the
next. Meanwhile a healthy stream must get the predictions of its solo run. The last line is JSON: what was answered, by
code, and what must be 0: tracebacks, `internal`, wrong predictions, connections that were neither answered nor closed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from inkling.service.protocol.codec import decode
from inkling.service.protocol.errors import ServiceError
from tests.attacks.attack import Got
from tests.attacks.beside import beside, solo_run
from tests.attacks.mutations import mutations
from tests.attacks.server import victim
from tests.benchmarks.processes import end_in_order

CLIENTS = 4
PART = 64
"""Messages of one connection, unless it is closed before."""
WAIT_S = 30.0
STARTS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"type": "start", "bundle": "body-actions", "skeleton": "coco17"},
    {"type": "start", "bundle": "fall-watch", "input": "frame"},
)


def decoded(messages: Iterator[str | bytes]) -> Got:
    """What the codec says of each. Raises what it must not raise."""
    got: Got = Counter()
    for message in messages:
        try:
            got[type(decode(message)).__name__] += 1
        except ServiceError as error:
            got[error.code] += 1
    return got


async def heard(socket: ClientConnection, got: Got) -> None:
    """Everything the server says until it closes."""
    try:
        async for message in socket:
            said = {"type": "prediction"} if isinstance(message, bytes) else json.loads(message)
            got[said.get("code", said["type"])] += 1
    except ConnectionClosed:
        pass
    got[f"closed {socket.close_code}"] += 1


async def attacked(url: str, messages: list[str | bytes], start: dict[str, Any] | None, got: Got) -> int:
    """Send messages over one connection until it is closed; returns how many were sent."""
    sent = 0
    async with connect(url, compression=None, ping_interval=None, max_size=None) as socket:
        hearing = asyncio.create_task(heard(socket, got))
        try:
            if start is not None:
                await socket.send(json.dumps(start))
            for message in messages:
                await socket.send(message)
                sent += 1
                if start is None or sent % 8 == 0:
                    await asyncio.sleep(0)
                if hearing.done():
                    break
            await socket.send('{"type":"end"}')
        except (ConnectionClosed, UnicodeEncodeError):
            pass
        try:
            await asyncio.wait_for(hearing, WAIT_S)
        except TimeoutError:
            got["no answer"] += 1
    return sent


async def flood(url: str, count: int, seed: int) -> tuple[Got, int]:
    """`count` messages over CLIENTS connections at a time; what was answered, and how many were sent."""
    got: Got = Counter()
    sent = 0

    async def client(number: int) -> None:
        nonlocal sent
        source = mutations(seed + 1 + number)
        starts = itertools.cycle(STARTS)
        waiting: list[str | bytes] = []
        while sent < count:
            waiting += itertools.islice(source, PART - len(waiting))
            used = await attacked(url, waiting, next(starts), got)
            del waiting[: max(used, 1)]
            sent += used

    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            tasks.create_task(client(number))
    return got, sent


def fuzz(messages: int, seed: int, solo: Mapping[int, NDArray[np.float32]]) -> dict[str, Any]:
    """Both. Raises what the codec should not."""
    begin_s = time.monotonic()
    codec = decoded(itertools.islice(mutations(seed), messages))
    found: dict[str, Any] = {"messages": messages, "codec": dict(codec.most_common())}
    got: Got = Counter()
    wrong = sent = 0
    with victim() as target:
        while sent < messages:  # a healthy stream lasts a minute
            with beside(target, solo) as seen:
                end_s = time.monotonic() + 40
                while sent < messages and time.monotonic() < end_s:
                    more, count = asyncio.run(flood(target.stream_url, min(5000, messages - sent), seed + sent))
                    got, sent = got + more, sent + count
            wrong += seen.wrong + bool(seen.failure)
        errors = target.errors()
        found |= {"sent": sent, "server": dict(got.most_common()), "peak_mb": round(target.memory.peak_mib)}
        found |= {"alive": target.alive(), "internal": errors.get("internal", 0)}
    found |= {"tracebacks": len(target.log.tracebacks), "foreign_lines": len(target.log.foreign)}
    found |= {"wrong": wrong, "no_answer": got["no answer"], "seconds": round(time.monotonic() - begin_s)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    end_in_order()
    with tempfile.TemporaryDirectory() as name:
        found = fuzz(args.messages, args.seed, solo_run(Path(name)))
    print(json.dumps(found))
    bad = ("internal", "tracebacks", "foreign_lines", "wrong", "no_answer")
    if any(found[what] for what in bad) or not found["alive"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
