"""The processes of a benchmark: servers on one core, the load generator on another, and how they are asked.

Every process is pinned before it starts, so that all its threads and children are. On a machine with one core they
share it, and `cores()` says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.load import Load

START_S = 120.0
ROOM = ("--max-streams", "4096", "--slots", "8192")
"""More streams than are ever tried: what is measured is the engine, not the limit."""


class BenchmarkFailed(Exception):
    """A process of a benchmark ended early; holds what it said last."""


def cores() -> tuple[int, int]:
    """The core of the server and that of the load; the same one where there is no second."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    server, load = cores()
    return {
        "processor": names[0] if names else "unknown",
        "cores": len(os.sched_getaffinity(0)),
        "pinning": "server and load on a core each" if server != load else "server and load share one core",
    }


def end_in_order() -> None:
    """From now on SIGTERM ends this process by an exception, so that what it started ends too."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Processes that are started inside run on this core only; None: on all."""
    before = os.sched_getaffinity(0)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a socket for each stream
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def process(command: list[str], ready: str, core: int | None) -> Iterator[tuple[re.Match[str], int]]:
    """A process on a core (None: on all), with all that it starts. Yields the match of its line that says it is ready,
    and its id. Raises BenchmarkFailed when it ends before."""
    said: list[str] = []
    with pinned(core):
        # A session of its own, so that its children can be ended with it. It must say little once it is ready: nobody
        # reads on, and a full pipe would stop it.
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
    try:
        assert child.stdout is not None
        for line in child.stdout:
            said.append(line)
            if found := re.search(ready, line):
                yield found, child.pid
                return
        raise BenchmarkFailed(f"{' '.join(command)} ended before it was ready: {''.join(said[-5:])}")
    finally:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait(20)


@contextlib.contextmanager
def service(*flags: str, everywhere: bool = False) -> Iterator[tuple[str, int]]:
    """The product's server, on its core or `everywhere`; yields its URL and process id."""
    command = [
        sys.executable,
        "-m",
        "inkling.service.cli.main",
        "serve",
        "--port",
        "0",
        "--log-level",
        "error",
        *ROOM,
        *flags,
    ]
    with process(command, r"ready on (http://\S+)", None if everywhere else cores()[0]) as (found, pid):
        yield found.group(1), pid


@contextlib.contextmanager
def module(name: str, *arguments: str) -> Iterator[tuple[str, int]]:
    """A server that is a module of this package, on a free port; yields its URL and process id once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", str(port), *arguments]
    with process(command, r"serving", cores()[0]) as (_, pid):
        url = f"http://127.0.0.1:{port}"
        _await_answer(url)
        yield url, pid


def _await_answer(url: str) -> None:
    end_s = time.monotonic() + START_S
    while time.monotonic() < end_s:
        try:
            urllib.request.urlopen(url, timeout=5)  # noqa: S310
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BenchmarkFailed(f"{url} does not answer")


def asked(name: str, *arguments: str, core: int) -> dict[str, Any]:
    """Run a module of this package on a core; returns the JSON object of its last line."""
    said = output_of([sys.executable, "-m", f"tests.benchmarks.{name}", *arguments], core=core)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def output_of(command: list[str], core: int) -> str:
    """What a command prints that runs on a core. Raises BenchmarkFailed when there is no such command, or it fails."""
    with pinned(core):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            raise BenchmarkFailed(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        raise BenchmarkFailed(f"{' '.join(command[:4])} failed: {done.stderr[-2000:]}")
    return done.stdout


def sent(load: Load) -> dict[str, Any]:
    """Run a load on its core; returns what it saw."""
    return asked("load", "--json", load.to_json(), core=cores()[1])
