"""Malformed messages against the codec and against a real server.

    python -m tests.attacks.fuzz [--messages 1000000] [--seed 0]

Each message goes through `decode`, which may raise a ServiceError and nothing else, and over a WebSocket to a server:
a third of the connections have said nothing before, the others `start`, of poses or images. A connection gets messages
up to the first that ends it, so that each is read. Meanwhile a healthy stream must get the predictions of its solo run.
The last line is JSON: what was answered, by code, and what must be 0: tracebacks, `internal`, wrong predictions,
connections that were neither answered nor closed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.frames import Opcode

from inkling.service.protocol.codec import EncodedImage, End, PackedPose, Start, decode
from inkling.service.protocol.errors import ServiceError
from tests.attacks.attack import HANGS, Got
from tests.attacks.beside import beside, solo_run
from tests.attacks.mutations import mutations
from tests.attacks.server import Victim, victim
from tests.attacks.wires import frame, parsed, said_by, text, upgrade
from tests.benchmarks.processes import end_in_order

CLIENTS = 8
PART = 8
"""Messages of one connection, unless it is closed before."""
WAIT_S = 30.0
HEALTHY_S = 40.0
"""Of one healthy stream; its solo run is longer. Each has a fresh server."""
DEATHS = 5
MUST_BE_0 = ("internal", "tracebacks", "foreign_lines", "wrong", "deaths", "no_answer")
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


def ends(message: str | bytes, start: dict[str, Any] | None) -> bool:
    """Whether a stream that began with `start` is over after this message, so that nothing behind it would be read."""
    if start is None:
        return True
    try:
        known = decode(message)
    except ServiceError as error:
        return error.close is not None
    wrong_kind = PackedPose if start.get("input") == "frame" else EncodedImage
    return isinstance(known, Start | End | wrong_kind)


async def attacked(target: Victim, messages: list[str | bytes], start: dict[str, Any] | None, got: Got) -> None:
    """Send messages over one connection, and count what is answered until the server closes it."""
    try:
        reader, writer = await asyncio.open_connection(target.host, target.port)
    except OSError:
        got["refused"] += 1
        return
    try:
        writer.write(upgrade(target))
        await reader.readuntil(b"\r\n\r\n")
        frames = [framed(message) for message in messages]
        writer.write(b"".join([*([text(start)] if start else []), *frames, text('{"type":"end"}')]))
        async with asyncio.timeout(WAIT_S):
            data = await until_closed(reader)
    except TimeoutError:
        got[HANGS] += 1
        return
    except (OSError, EOFError):
        got["closed"] += 1
        return
    finally:
        writer.close()
    for opcode, payload in parsed(data):
        got[said_by(opcode, payload)] += 1


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What the server sends, up to its close frame or the end of the connection."""
    data = b""
    while part := await reader.read(65536):
        data += part
        if any(opcode == Opcode.CLOSE for opcode, _ in parsed(data)):
            break
    return data


def framed(message: str | bytes) -> bytes:
    return text(message) if isinstance(message, str) else frame(Opcode.BINARY, message)


async def flood(target: Victim, count: int, seed: int) -> tuple[Got, int]:
    """`count` messages that the server reads, CLIENTS connections at a time; what was answered, and how many."""
    got: Got = Counter()
    sent = 0

    async def client(number: int) -> None:
        nonlocal sent
        source = mutations(seed + 1 + number)
        for start in itertools.cycle(STARTS):
            if sent >= count:
                return
            messages = [next(source)]
            while not ends(messages[-1], start) and len(messages) < PART:
                messages.append(next(source))
            sent += len(messages)
            await attacked(target, messages, start, got)

    async with asyncio.TaskGroup() as tasks:
        for number in range(CLIENTS):
            tasks.create_task(client(number))
    return got, sent


def fuzz(messages: int, seed: int, solo: Mapping[int, NDArray[np.float32]]) -> dict[str, Any]:
    """Both. Raises what the codec should not. A server that dies is replaced, DEATHS times."""
    begin_s = time.monotonic()
    codec = decoded(itertools.islice(mutations(seed), messages))
    got: Got = Counter()
    books: Got = Counter(sent=0, wrong=0, internal=0, tracebacks=0, foreign_lines=0, deaths=0)
    while books["sent"] < messages and books["deaths"] <= DEATHS:
        with victim() as target:
            with beside(target, solo) as seen:
                end_s = time.monotonic() + HEALTHY_S
                while books["sent"] < messages and time.monotonic() < end_s and target.alive():
                    count = min(2000, messages - books["sent"])
                    more, sent = asyncio.run(flood(target, count, seed + books["sent"]))
                    got += more
                    books["sent"] += sent
            books["internal"] += target.errors().get("internal", 0)
            books["deaths"] += not target.alive()
        books["wrong"] += seen.wrong + bool(seen.failure)
        books["tracebacks"] += len(target.log.tracebacks)
        sys.stderr.writelines(f"{line}\n" for line in [*target.log.tracebacks, *target.log.foreign])
        books["foreign_lines"] += len(target.log.foreign)
        books["peak_mb"] = max(books["peak_mb"], round(target.memory.peak_mib))
    books["no_answer"] = got[HANGS]
    said = {"codec": dict(codec.most_common()), "server": dict(got.most_common())}
    return {"messages": messages, **books, **said, "seconds": round(time.monotonic() - begin_s)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    end_in_order()
    with tempfile.TemporaryDirectory() as name:
        found = fuzz(args.messages, args.seed, solo_run(Path(name)))
    print(json.dumps(found))
    if any(found[what] for what in MUST_BE_0):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
