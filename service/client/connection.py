"""A stream on a WebSocket: connects, writes, reads and keeps time, and connects again when the stream wants it.

Runs on an event loop: the program's own (`aio`), or that of a thread (`blocking`). Answers are taken in the moment they
arrive, whatever the program is doing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from inkling.service.client.errors import ClientError
from inkling.service.client.stream_state import ClientStream, Ping
from inkling.service.client.target import UNANSWERED, Target

log = logging.getLogger("inkling.client")

T = TypeVar("T")


class Connection:
    """guard: held while the stream's state is touched. changed: called with the guard held, whenever it was."""

    def __init__(
        self, target: Target, stream: ClientStream, guard: AbstractContextManager[object], changed: Callable[[], None]
    ) -> None:
        self._target = target
        self._stream = stream
        self._guard = guard
        self._changed = changed
        self._to_send = asyncio.Event()
        self._stopped = False
        self._parting = False
        """The socket is being closed, which takes at most CLOSE_S and is not to be interrupted."""
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Until the stream has finished; raises nothing but cancellation, by `stop` or otherwise."""
        self._task = asyncio.current_task()
        if self._stopped:
            return
        try:
            while True:
                await self._attempt()
                if self._stopped or self._stream.state != "lost" or self._stream.retry_s is None:
                    return
                wait_s = self._stream.retry_s - time.monotonic()
                log.warning("the stream is lost: %s; trying again in %.1f s", self._stream.reason, wait_s)
                await asyncio.sleep(wait_s)
        except Exception as error:
            log.exception("the client failed")
            failure = ClientError(f"the client failed: {error!r}; please report it")
            self._apply(lambda now_s: self._stream.fail(failure))

    def send(self) -> None:
        """Something is to be sent. Called on the loop."""
        self._to_send.set()

    def stop(self) -> None:
        """Close the connection now. Called on the loop."""
        self._stopped = True
        if self._task is not None and not self._parting:
            self._task.cancel()

    async def _attempt(self) -> None:
        """One connection from its opening to its end."""
        self._apply(self._stream.connecting)
        try:
            socket = await connect(self._target.stream, **self._target.connecting())
        except UNANSWERED as error:
            self._apply(partial(self._stream.unreachable, self._target.unreachable(error)))
            return
        self._to_send.clear()
        self._apply(self._stream.connected)
        beside = [asyncio.create_task(self._write(socket)), asyncio.create_task(self._watch(socket))]
        try:
            while self._wanted:
                data = await socket.recv()
                self._apply(partial(self._stream.receive, data))
        except ConnectionClosed as error:
            self._apply(partial(self._stream.disconnected, error.rcvd.code if error.rcvd else None))
        finally:
            self._parting = True
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await socket.close()
            self._parting = False

    @property
    def _wanted(self) -> bool:
        return not self._stream.finished and self._stream.state != "lost"

    async def _write(self, socket: ClientConnection) -> None:
        """Send what the stream wants to be sent. Ends with the connection, which the reader learns of too."""
        try:
            while True:
                await self._to_send.wait()
                self._to_send.clear()
                with self._guard:
                    messages = self._stream.take_outgoing()
                for message in messages:
                    if isinstance(message, Ping):
                        asyncio.ensure_future(await socket.ping()).add_done_callback(self._ponged)
                    else:
                        await socket.send(message)
        except ConnectionClosed:
            pass

    async def _watch(self, socket: ClientConnection) -> None:
        """Look for silence when it is due. A dead connection is cut: nobody is there to close it with."""
        while True:
            due_s = self._apply(self._stream.tick)
            if not self._wanted:
                socket.transport.abort()
                return
            await asyncio.sleep(max(due_s - time.monotonic(), 0))

    def _ponged(self, pong: asyncio.Future[float]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self._apply(self._stream.pong)

    def _apply(self, change: Callable[[float], T]) -> T:
        """Tell the stream what happened, call the callbacks that are due, and say that something changed."""
        with self._guard:
            result = change(time.monotonic())
            calls = self._stream.take_calls() if self._stream.calls else None
            if calls is None:
                self._changed()
        if calls is not None:
            self._call(calls)
            with self._guard:
                self._changed()
        if self._stream.outgoing:
            self._to_send.set()
        return result

    def _call(self, calls: list[tuple[str, Callable[[], None]]]) -> None:
        """Without the guard, so that callbacks may send."""
        for name, call in calls:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - it is the program's; told where the program looks next
                with self._guard:
                    self._stream.callback_failed(name, error)
