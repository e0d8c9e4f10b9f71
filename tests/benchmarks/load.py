"""A load of streams over real sockets, from a process of its own: what many cameras send, and when answers come.

    python -m tests.benchmarks.load URL --streams 32 --hz 30 --seconds 5     # open loop
    python -m tests.benchmarks.load URL --streams 64 --hz 0                  # closed loop: throughput

Open loop: every stream sends its frames on an absolute schedule, with a start of its own within the first interval,
whether answers come or not. One JSON object is the last line; `generator` says how busy the sender itself was, and
`late_p99_ms` how late after its time a frame was sent: a generator that is its own bottleneck shows it there.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from tests.benchmarks.figures import distribution, latency_figures
from tests.benchmarks.proc import on_processor_s
from tests.benchmarks.streams import KINDS, Group, Stream
from tests.benchmarks.wire import PAYLOADS, Payload, images

TAIL_S = 0.5
"""Seconds after the last frame in which its answer may come before the stream is ended."""
RESOLUTION_S = 0.0005
"""Frames due within this are sent together: the loop's timers are no finer than a millisecond."""
PART = 1000
"""Frames of one stream that are compared with as many later ones; as many before them warm up."""
OPENING = 64
"""Connections that are opened at a time."""


@dataclass(frozen=True, slots=True)
class Load:
    """Groups of streams that run beside each other. The first `warm_s` are not counted, nor in `seconds`.

    server: process whose time on the processor, with that of its children, is noted meanwhile; 0: none.
    """

    groups: tuple[Group, ...]
    seconds: float = 4.0
    warm_s: float = 0.5
    server: int = 0

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Load:
        found = json.loads(text)
        return cls(
            tuple(Group(**group) for group in found["groups"]), found["seconds"], found["warm_s"], found["server"]
        )


async def run(load: Load) -> dict[str, Any]:
    """Run it; what each group saw, in their order."""
    parties = [await connected(group) for group in load.groups]
    begin_s = time.perf_counter() + 0.02
    busy_s = time.process_time()
    last_s = begin_s + load.warm_s + load.seconds
    clock = asyncio.create_task(_server_s(load.server, begin_s + load.warm_s, last_s))
    lateness = await asyncio.gather(*(_driven(party, begin_s, last_s) for party in parties))
    elapsed_s, busy_s = time.perf_counter() - begin_s, time.process_time() - busy_s
    for party in parties:
        await _ended(party, 30 + load.seconds)
    counted = (begin_s + load.warm_s, last_s)
    return {
        "groups": [
            _seen(group, party, counted, late)
            for group, party, late in zip(load.groups, parties, lateness, strict=True)
        ],
        "generator": round(busy_s / elapsed_s, 3),
        "server_s": round(await clock, 4),
    }


async def _server_s(server: int, begin_s: float, end_s: float) -> float:
    """Seconds that the server was on the processor between the two times."""
    if not server:
        return 0.0
    seen = []
    for at_s in (begin_s, end_s):
        await asyncio.sleep(max(0.0, at_s - time.perf_counter()))
        seen.append(on_processor_s(server))
    return seen[1] - seen[0]


async def connected(group: Group) -> list[Stream]:
    """The streams of a group, each ready to send."""
    loop, where, payload = asyncio.get_running_loop(), urlsplit(group.url), payload_of(group)
    host, port = where.hostname or "127.0.0.1", where.port or 80
    made = partial(KINDS[group.kind], group, payload)
    streams: list[Stream] = []
    while len(streams) < group.streams:
        count = min(OPENING, group.streams - len(streams))
        pairs = await asyncio.gather(*(loop.create_connection(made, host, port) for _ in range(count)))
        streams += [stream for _, stream in pairs]
        await asyncio.gather(*(stream.ready for stream in streams[-count:]))
    return streams


def payload_of(group: Group) -> Payload:
    """What its streams send."""
    if not group.pictures:
        return PAYLOADS[group.payload]()
    return images([path.read_bytes() for path in sorted(Path(group.pictures).iterdir())])


async def _driven(streams: list[Stream], begin_s: float, last_s: float) -> list[float]:
    """Send until `last_s`; returns how late each frame was sent."""
    hz = streams[0].group.hz
    if hz:
        late = await paced(streams, hz, begin_s, last_s)
        await asyncio.sleep(TAIL_S)
        for stream in streams:
            if not stream.over.done():
                stream.end()
        return late
    await asyncio.sleep(max(0.0, begin_s - time.perf_counter()))
    for stream in streams:
        stream.begin_closed_loop(last_s)
    await asyncio.wait([stream.over for stream in streams], timeout=max(0.0, last_s - time.perf_counter()))
    return []


async def paced(streams: Sequence[Stream], hz: float, begin_s: float, last_s: float) -> list[float]:
    """Send each stream's frames at `hz` from its own start on; a late frame does not delay those after it."""
    rng = random.Random(0)
    starts = sorted((rng.random() / hz, k) for k in range(len(streams)))
    late: list[float] = []
    for turn in range(round((last_s - begin_s) * hz)):
        for start_s, k in starts:
            due_s = begin_s + start_s + turn / hz
            now_s = time.perf_counter()
            if due_s > now_s + RESOLUTION_S:
                await asyncio.sleep(max(due_s - now_s, 0.001))
                now_s = time.perf_counter()
            late.append(now_s - due_s)
            if not streams[k].over.done():
                streams[k].send_frame()
    return late


async def _ended(streams: list[Stream], timeout_s: float) -> None:
    """Wait for every stream's end; what does not end is cut off, and its open frames are lost."""
    _, pending = await asyncio.wait([stream.over for stream in streams], timeout=timeout_s)
    if pending:
        for stream in streams:
            stream.transport.abort()


def _seen(group: Group, streams: list[Stream], counted: tuple[float, float], late: list[float]) -> dict[str, Any]:
    sent = np.concatenate([np.asarray(stream.sent_s) for stream in streams])
    answered = np.concatenate([np.asarray(stream.answered_s) for stream in streams])
    settled = np.concatenate([np.asarray(stream.settled_s) for stream in streams])
    begin_s, end_s = counted
    timed = (sent >= begin_s) & ~np.isnan(answered)
    latencies = (answered - sent)[timed]
    answers = int(np.isfinite(answered).sum())
    told = [stream.summary or {} for stream in streams]
    return {
        "streams": group.streams,
        "hz": group.hz,
        "sent": len(sent),
        "answered": answers,
        "answered_per_s": round(float(((answered >= begin_s) & (answered < end_s)).sum() / (end_s - begin_s)), 1),
        "settled_per_s": round(float(((settled >= begin_s) & (settled < end_s)).sum() / (end_s - begin_s)), 1),
        **latency_figures(latencies),
        "distribution_ms": distribution(latencies),
        "early": latency_figures(latencies[PART : 2 * PART]),
        "late": latency_figures(latencies[-PART:]),
        "skipped": sum(one.get("skipped", 0) for one in told),
        "dropped": sum(one.get("dropped", 0) for one in told),
        "refused": sum(one.get("refused", 0) for one in told),
        "lost": sum(stream.lost for stream in streams),
        "errors": sum(stream.errors for stream in streams),
        "answer_bytes": round(sum(stream.answer_bytes for stream in streams) / max(answers, 1)),
        "late_p99_ms": latency_figures(late)["p99_ms"] if late else None,
    }


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url", nargs="?", help="of a server, http://HOST:PORT")
    parser.add_argument("--json", help="a whole load, as Load.to_json gives it")
    parser.add_argument("--bundle", default="body-actions")
    parser.add_argument("--payload", choices=sorted(PAYLOADS), default="packed")
    parser.add_argument("--results", choices=("json", "packed"), default="json")
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--hz", type=float, default=30.0)
    parser.add_argument("--seconds", type=float, default=4.0)
    wish = parser.parse_args()
    if wish.json:
        load = Load.from_json(wish.json)
    else:
        group = Group(
            f"{wish.url}/v1/stream",
            bundle=wish.bundle,
            payload=wish.payload,
            results=wish.results,
            streams=wish.streams,
            hz=wish.hz,
        )
        load = Load((group,), wish.seconds)
    gc.disable()  # a collection would be measured as the server's latency
    print(json.dumps(uvloop.run(run(load))))


if __name__ == "__main__":
    main()
