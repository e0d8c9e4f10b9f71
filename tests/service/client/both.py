"""Both clients with one face, so that the same test runs against each: the async one's calls run on a loop's thread."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self

from inkling.service.client.aio import AsyncClient, AsyncStream

WAIT_S = 60.0
"""After which a call that never returns fails its test."""


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def call(self, what: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Call on the loop, await what is to be awaited, and make a plain iterator of an async one."""

        async def called() -> Any:
            result = what(*arguments, **named)
            return await result if inspect.isawaitable(result) and not isinstance(result, AsyncStream) else result

        result = asyncio.run_coroutine_threadsafe(called(), self._loop).result(WAIT_S)
        return self._each(result) if isinstance(result, AsyncIterator) else result

    def _each(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        with contextlib.suppress(StopAsyncIteration):
            while True:
                yield self.call(items.__anext__)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()


class FacedStream:
    """An AsyncStream that looks like a Stream."""

    def __init__(self, loop: Loop, stream: AsyncStream) -> None:
        self._loop, self._stream = loop, stream

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._stream, name)
        if not callable(found):
            return found
        return lambda *arguments, **named: self._loop.call(found, *arguments, **named)

    def __iter__(self) -> Iterator[Any]:
        found: Iterator[Any] = self._loop.call(self._stream.__aiter__)
        return found

    def __enter__(self) -> Self:
        self._loop.call(self._stream.__aenter__)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call(self._stream.__aexit__, *error)


class FacedClient:
    """An AsyncClient that looks like a Client: streams are open when they are made."""

    def __init__(self, loop: Loop, *arguments: Any, **named: Any) -> None:
        self._loop = loop
        self._client = AsyncClient(*arguments, **named)

    def stream(self, *arguments: Any, **named: Any) -> FacedStream:
        async def opened() -> AsyncStream:
            return await self._client.stream(*arguments, **named)

        return FacedStream(self._loop, self._loop.call(opened))

    def score(self, *arguments: Any, **named: Any) -> Any:
        return self._loop.call(self._client.score, *arguments, **named)
