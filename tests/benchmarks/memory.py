"""What a stream at rest holds, and whether the server's memory stays flat over 20,000 sessions.

    python -m tests.benchmarks.memory [--rounds 5]

idle: resident memory of the server with 1,000 streams that sent a few frames and rest, less that without them, for
each; the rows of the state pool lie there from the start. The kernel's part, which no process is charged with, is told
beside it: the objects of an open socket, by the kernel's own list of them. sessions: open, a few frames, end, 20,000
times; resident memory after all of them over that after the first 1,000. That one is measured once.
"""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

from tests.benchmarks.command import Benchmark, Result, Row, spread
from tests.benchmarks.figures import Spread
from tests.benchmarks.load import connected
from tests.benchmarks.proc import resident_kib
from tests.benchmarks.processes import BenchmarkFailed, cores, pinned, service
from tests.benchmarks.streams import Group, Stream

IDLE, SPOKEN, REST_S = 1000, 5, 1.0
SESSIONS, FIRST, AT_ONCE, FRAMES = 20_000, 1_000, 50, 3
KERNEL_OBJECTS = ("TCP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi")


async def _spoken(url: str, streams: int) -> list[Stream]:
    """Streams that sent SPOKEN frames, had them answered, and rest."""
    opened = await connected(Group(url, streams=streams))
    for _ in range(SPOKEN):
        for stream in opened:
            stream.send_frame()
        await asyncio.sleep(REST_S / SPOKEN)
    await asyncio.sleep(REST_S)
    if any(stream.settled < SPOKEN - 1 for stream in opened):
        raise BenchmarkFailed("a stream that only waits has not been answered")
    return opened


async def _part(streams: list[Stream]) -> None:
    for stream in streams:
        stream.end()
    await asyncio.gather(*(stream.over for stream in streams))


async def _idle(url: str, pid: int) -> float:
    """KiB for each of the first IDLE streams of a server, with all that a first use costs.

    Later ones would be told less: what was freed before them is used again."""
    await _part(await _spoken(url, 10))
    before = resident_kib(pid)
    streams = await _spoken(url, IDLE)
    found = (resident_kib(pid) - before) / IDLE
    await _part(streams)
    return found


async def _sessions(url: str, pid: int) -> tuple[int, int]:
    """KiB after FIRST and after all SESSIONS."""
    first = 0
    for done in range(0, SESSIONS, AT_ONCE):
        if done == FIRST:
            first = resident_kib(pid)
        streams = await connected(Group(url, streams=AT_ONCE))
        for stream in streams:
            for _ in range(FRAMES):
                stream.send_frame()
        await _part(streams)
    return first, resident_kib(pid)


def kernel_bytes() -> int | None:
    """Of the objects behind one open socket; None where the kernel does not list them."""
    try:
        text = Path("/proc/slabinfo").read_text()
    except OSError:
        return None
    sizes = dict(re.findall(r"^(\S+)\s+\d+\s+\d+\s+(\d+)", text, re.MULTILINE))
    return sum(int(sizes[name]) for name in KERNEL_OBJECTS if name in sizes)


def measure(rounds: int, seconds: float) -> Result:
    import uvloop

    firsts = []
    for _ in range(rounds):  # of a fresh server each
        with service("--load", "body-actions") as (url, pid), pinned(cores()[1]):
            firsts.append(uvloop.run(_idle(f"{url}/v1/stream", pid)))
    with service("--load", "body-actions") as (url, pid), pinned(cores()[1]):
        begin_s = time.monotonic()
        first, last = uvloop.run(_sessions(f"{url}/v1/stream", pid))
        took_s = time.monotonic() - begin_s
    return {
        "idle_kib": Spread.of(firsts).as_json(),
        "kernel_bytes_of_a_socket": kernel_bytes(),
        "after_1000_mib": round(first / 1024, 1),
        "after_20000_mib": round(last / 1024, 1),
        "sessions_ratio": round(last / first, 4),
        "sessions_per_s": round(SESSIONS / took_s, 1),
    }


def rows(result: Result) -> list[Row]:
    ratio = result["sessions_ratio"]
    kernel = result["kernel_bytes_of_a_socket"]
    return [
        Row.at_most("memory of an idle stream, its socket included", spread(result["idle_kib"]), 64, ".1f", " KiB"),
        Row("the kernel's objects for its socket, beside that", "not listed" if kernel is None else f"{kernel} bytes"),
        Row.at_most("resident memory after 20,000 sessions over after 1,000", Spread(ratio, ratio, ratio), 1.02, ".4f"),
        Row("sessions opened and closed a second", f"{result['sessions_per_s']:,.0f}"),
    ]


BENCHMARK = Benchmark("memory", __doc__ or "", measure, rows)

if __name__ == "__main__":
    BENCHMARK.run()
