"""A stream's predictions as server-sent events, for browsers and `curl`: `GET /v1/streams/{stream}/predictions`.

Each message of the protocol is one event, named by its type: `ready`, then `prediction`, `event` and `decision`, and
`people` where the address says `?people=true`, at last `summary`, or `error` when the stream was lost. With
`?only=events` there are no predictions. The same address takes a WebSocket, see `websocket.endpoint`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from inkling.service.bootstrap import Core
from inkling.service.http.schemas import ErrorAnswer
from inkling.service.protocol.codec import Outgoing, Summary, encode, error_message
from inkling.service.protocol.errors import ServiceError
from inkling.service.streams.broadcast import Follower, FollowerChoice

QUIET_S = 15.0
"""After which a comment is sent, so that nobody on the way takes a quiet connection for a dead one."""


def event_router(core: Callable[[], Core]) -> APIRouter:
    """The route; `core` is asked at each request."""
    router = APIRouter(tags=["information"])

    @router.get(
        "/v1/streams/{stream}/predictions",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
            404: {"model": ErrorAnswer},
            503: {"model": ErrorAnswer},
        },
    )
    async def predictions(
        stream: str,
        people: Annotated[bool, Query(description="also who is seen in each frame, where people are found")] = False,
        only: Annotated[Literal["events"] | None, Query(description="events: no predictions")] = None,
    ) -> StreamingResponse:
        """Follow a stream: server-sent events, or a WebSocket at the same address."""
        served = core()
        choice = FollowerChoice(people=people, events=only == "events")
        follower = served.hub.follow(stream, served.settings.sockets.outbox, choice)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return _Events(follower, headers)

    return router


class _Events(StreamingResponse):
    """Gives the follower's place back however the answer ends, also when the client went before its first byte."""

    def __init__(self, follower: Follower, headers: dict[str, str]) -> None:
        super().__init__(events(follower), media_type="text/event-stream", headers=headers)
        self._follower = follower

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._follower.close()


async def events(follower: Follower, quiet_s: float = QUIET_S) -> AsyncIterator[str]:
    """The text of each event, until the stream ends. Closes the follower."""
    try:
        while True:
            try:
                async with asyncio.timeout(quiet_s):
                    message = await follower.next()
            except TimeoutError:
                yield ": still here\n\n"
                continue
            except ServiceError as error:
                yield _event(error_message(error))
                return
            yield _event(message)
            if isinstance(message, Summary):
                return
    finally:
        follower.close()


def _event(message: Outgoing) -> str:
    return f"event: {message.type}\ndata: {encode(message)}\n\n"
