"""The server under attack: the real command in a process of its own, with its log, its memory and its counters."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inkling.service.memory_account import default_limit
from tests.attacks.memory import LIMIT_MIB, Memory

START_S = 60.0
STOP_S = 20.0
PROMISED = default_limit(LIMIT_MIB * 2**20)
"""Bytes that the server may promise: as many as if it saw the container's limit."""


class AttackFailed(Exception):
    """The harness itself could not go on: a server or a healthy stream did not start."""


@dataclass(slots=True)
class Log:
    """What the server wrote. foreign: lines that are not what the log's format says, such as a library's own."""

    lines: list[str] = field(default_factory=list)
    form: str = "json"

    @property
    def tracebacks(self) -> list[str]:
        return [line for line in self.lines if "Traceback (most recent call last)" in line]

    @property
    def foreign(self) -> list[str]:
        return [line for line in self.lines if self.form == "json" and not _is_json(line)]

    @property
    def raw_escapes(self) -> list[str]:
        """Lines with control characters, which can rewrite an operator's screen."""
        return [line for line in self.lines if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", line)]


@dataclass(slots=True)
class Victim:
    """A running server. directory: of its own; in it `clips`, where videos wait, and `films`, where sources read."""

    url: str
    pid: int
    directory: Path
    log: Log
    memory: Memory

    @property
    def host(self) -> str:
        return self.url.rpartition("/")[2].rpartition(":")[0]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def stream_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "/v1/stream"

    def alive(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=10) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def errors(self) -> Mapping[str, int]:
        """Errors told to clients, by code."""
        try:
            with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:  # noqa: S310
                text = answer.read().decode()
        except OSError:
            return {}
        found = re.findall(r'^inkling_errors_total\{code="(\w+)"\} (\S+)', text, re.MULTILINE)
        return {code: int(float(count)) for code, count in found if float(count)}


@contextlib.contextmanager
def victim(*flags: str, form: str = "json", environment: Mapping[str, str] | None = None) -> Iterator[Victim]:
    """A server with both shipped bundles on a free port; ended, with its children, when the block is left."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        for folder in ("clips", "films"):
            (directory / folder).mkdir()
        places = ["--clip-dir", f"{name}/clips", "--source-directories", f"{name}/films"]
        given = [flag.replace("{directory}", name) for flag in flags]
        promised = ["--max-promised-bytes", str(PROMISED)]
        command = [*_serve(), "--port", "0", "--log-format", form, *places, *promised, *given]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        log, ready = Log(form=form), queue.Queue[str]()
        reader = threading.Thread(target=_read, args=(process, log, ready), name="log")
        reader.start()
        try:
            try:
                url = ready.get(timeout=START_S)
            except queue.Empty:
                raise AttackFailed(f"the server did not start: {log.lines[-5:]}") from None
            with Memory(process.pid) as memory:
                yield Victim(url, process.pid, directory, log, memory)
        finally:
            _end(process)
            reader.join(STOP_S)
            assert process.stdout is not None
            process.stdout.close()


def _serve() -> Sequence[str]:
    return [sys.executable, "-m", "inkling.service.cli.main", "serve"]


def _read(process: subprocess.Popen[str], log: Log, ready: queue.Queue[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"ready on (http://[^\s\"]+)", line):
            ready.put(found.group(1))
        else:
            log.lines.append(line.rstrip("\n"))


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)
    process.terminate()
    end_s = time.monotonic() + STOP_S
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(end_s - time.monotonic())
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(STOP_S)


def _is_json(line: str) -> bool:
    try:
        entry: Any = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict)
