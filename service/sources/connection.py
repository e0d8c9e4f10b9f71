"""One connection to a source, from the server's side: the process that fetches, and what it says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from inkling.service.child_process import child_command, child_environment
from inkling.service.sources.fetch_request import FetchRequest
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.pipe import HEADER, BadPipe, Ended, Failed, Opened, WorkerMessage, body_length, unpack

log = logging.getLogger(__name__)

BUFFER_BYTES = 2**20
REAP_S = 5.0
"""Seconds that the end of a killed process may take to be seen."""


class Connection:
    """An asynchronous context: the process ends with it, whatever it is doing.

    async with Connection(request) as connection:
        async for message in connection.messages():
            ...
    """

    def __init__(self, request: FetchRequest) -> None:
        self._request = request
        self._killed = False
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *child_command("sources.worker"),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,  # ffmpeg and tracebacks may name the URL
            env=child_environment(),
            limit=BUFFER_BYTES,
            start_new_session=True,  # Ctrl-C is for the server, which then ends its children in order
        )
        if self._killed:
            self._process.kill()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        closing = asyncio.create_task(self._close())
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:  # cancelled again: the process is killed, so this takes no time
            await closing
            raise

    def kill(self) -> None:
        """End it now; `messages` ends soon after. Idempotent."""
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    def give_memory(self, count: int) -> None:
        """So many bytes more than it was given. It decodes nothing before its `Opened` was looked at."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                limit, most = resource.prlimit(process.pid, resource.RLIMIT_DATA)
                resource.prlimit(process.pid, resource.RLIMIT_DATA, (min(limit + count, most), most))

    async def _close(self) -> None:
        self.kill()
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return
        process.stdin.close()
        try:
            async with asyncio.timeout(REAP_S):
                while await process.stdout.read(BUFFER_BYTES):  # what is left in the pipe would keep it open
                    pass
                await process.wait()
        except TimeoutError:  # it is killed all the same, and the server must be able to stop
            log.warning("the end of process %d, which fetched and was killed, was not seen", process.pid)

    async def _code(self, process: asyncio.subprocess.Process) -> str:
        try:
            async with asyncio.timeout(REAP_S):
                return str(await process.wait())
        except TimeoutError:
            return "unknown"

    async def messages(self) -> AsyncIterator[WorkerMessage]:
        """What it says, in order, `Ended` or `Failed` last; nothing more after `kill`."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise RuntimeError("a connection is used inside its context")
        try:
            process.stdin.write(self._request.model_dump_json().encode() + b"\n")
            while True:
                header = await process.stdout.readexactly(HEADER.size)
                message = unpack(header, await process.stdout.readexactly(body_length(header)))
                yield message
                if isinstance(message, Ended | Failed):
                    return
                if isinstance(message, Opened):
                    process.stdin.write(b"\n")
        except BadPipe as error:
            yield Failed(Cause.CRASHED, f"the process that fetches sent {error}")
        except (asyncio.IncompleteReadError, ConnectionError):
            if not self._killed:
                yield Failed(Cause.CRASHED, f"the process that fetches ended with code {await self._code(process)}")
