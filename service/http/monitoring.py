"""Metrics and probes on a port of their own, for an operator's network: nobody is asked for a token there."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from inkling.service.bootstrap import Core
from inkling.service.metrics import CONTENT_TYPE


def monitoring_app(core: Core) -> Starlette:
    """`/metrics`, `/livez` and `/readyz` alone."""

    async def metrics(request: Request) -> Response:
        return Response(core.metrics.render(), media_type=CONTENT_TYPE)

    async def alive(request: Request) -> Response:
        return PlainTextResponse("alive")

    async def ready(request: Request) -> Response:
        return PlainTextResponse("ready") if core.ready else PlainTextResponse("shutting down", 503)

    return Starlette(routes=[Route("/metrics", metrics), Route("/livez", alive), Route("/readyz", ready)])


class MonitoringServer(uvicorn.Server):
    """Beside the server itself, on its event loop; it ends when it is told to, not by signals."""

    def __init__(self, core: Core, listener: socket.socket) -> None:
        """listener: bound; it is closed with the server."""
        config = uvicorn.Config(
            monitoring_app(core), http="h11", ws="none", lifespan="off", log_config=None, access_log=False
        )
        super().__init__(config)
        self._listener = listener
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The signals are the other server's."""
        yield

    def begin(self) -> None:
        """Serve on the running event loop."""
        self._task = asyncio.create_task(self.serve([self._listener]))

    async def end(self) -> None:
        """Stop serving, and wait for that."""
        self.should_exit = True
        if self._task is not None:
            await self._task
