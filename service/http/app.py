"""The HTTP side: one FastAPI application around one core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, cast

from fastapi import FastAPI, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from pydantic import TypeAdapter
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect

from inkling.models.problems import describe
from inkling.service.access.forwarded import Forwarded
from inkling.service.access.middleware import Access
from inkling.service.bootstrap import Core, build
from inkling.service.http.clips import clip_router
from inkling.service.http.login import login_router
from inkling.service.http.reference_page import render
from inkling.service.http.schemas import BundleInfo, ErrorAnswer, StreamRow, VersionInfo, bundle_info
from inkling.service.http.sources import source_router
from inkling.service.http.sse import event_router
from inkling.service.metrics import CONTENT_TYPE
from inkling.service.protocol.codec import schema
from inkling.service.protocol.errors import BadMessage, Cancelled, Draining, Internal, ServiceError
from inkling.service.settings import Settings, load_settings
from inkling.service.streams.broadcast import FollowerChoice
from inkling.service.version import commit, version

_stream_rows = TypeAdapter(list[StreamRow])


def create_app(settings: Settings | None = None, core: Core | None = None) -> FastAPI:
    """The ASGI application. Without `core` one is built from `settings` (None: the environment's) at start-up.

    `inkling serve` passes a core that is loaded already, so that what is wrong with a bundle is one sentence on the
    terminal. `uvicorn --factory inkling.service.http.app:create_app` works too, without the drain of open streams at
    shutdown.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loaded = await asyncio.to_thread(build, settings or load_settings()) if core is None else core
        loaded.start()
        app.state.core = loaded
        try:
            yield
        finally:
            await loaded.stop()

    app = FastAPI(
        title="Inkling",
        version=version(),
        description="Which action is under way, and which one is coming. Streams: WebSocket `/v1/stream`.",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load their programs from the internet
        redoc_url=None,
    )
    app.add_middleware(Access, terms=lambda: _core(app).access.terms)
    if settings is not None or core is not None:
        access = (settings or cast(Core, core).settings).access
        _add_cors(app, access.allowed_origins)
        app.add_middleware(Forwarded, proxies=access.proxy_addresses)
    _add_errors(app)
    _add_probes(app)
    _add_information(app)
    _add_reference(app)
    app.include_router(clip_router(lambda: _core(app)))
    app.include_router(source_router(lambda: _core(app).sources, lambda: _core(app).access.quotas))

    app.include_router(event_router(lambda: _core(app)))
    app.include_router(login_router(lambda: _core(app).access.gate))

    @app.websocket("/v1/streams/{stream}/predictions")
    async def follow(
        websocket: WebSocket, stream: str, people: bool = False, only: Literal["events"] | None = None
    ) -> None:
        choice = FollowerChoice(people=people, events=only == "events")
        await _core(app).sockets.follow(websocket, stream, choice)

    @app.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        await _core(app).sockets.serve(websocket)

    return app


def _add_cors(app: FastAPI, origins: Sequence[str]) -> None:
    """Let pages of these sites read the answers. The origins that may act are checked by `Access`."""
    if origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_methods=["*"], allow_headers=["authorization", "content-type"]
        )


def _core(app: FastAPI) -> Core:
    core: Core = app.state.core
    return core


def _add_probes(app: FastAPI) -> None:
    @app.get("/livez", tags=["operation"])
    async def alive() -> dict[str, str]:
        """200 while the event loop runs."""
        return {"status": "alive"}

    @app.get("/readyz", tags=["operation"], responses={503: {"model": ErrorAnswer}})
    async def ready() -> dict[str, str]:
        """200 while new streams are taken: after every bundle is warm, until the server is told to stop."""
        if not _core(app).ready:
            raise Draining("the server is shutting down")
        return {"status": "ready"}

    @app.get("/metrics", tags=["operation"], response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(_core(app).metrics.render(), media_type=CONTENT_TYPE)


def _add_information(app: FastAPI) -> None:
    @app.get("/v1/version", tags=["information"])
    async def which() -> VersionInfo:
        """The package's version, the commit it was built from, what it runs on, the loaded bundles."""
        hub = _core(app).hub
        names = tuple(spec.full_name for spec in hub.bundles())
        return VersionInfo(version=version(), commit=commit(), device=hub.device, bundles=names)

    @app.get("/v1/bundles", tags=["information"])
    async def bundles() -> list[BundleInfo]:
        """The loaded bundles, the newest version of a name first."""
        return [bundle_info(stats) for stats in _core(app).hub.stats()]

    @app.get("/v1/streams", tags=["information"])
    async def streams() -> list[StreamRow]:
        """The open streams, the oldest first."""
        return _stream_rows.validate_python(_core(app).hub.streams(), from_attributes=True)

    @app.get("/v1/protocol", tags=["information"])
    async def protocol() -> dict[str, Any]:
        """The messages of `/v1/stream` as JSON schema, the binary layout, every error and its close code."""
        return schema()


def _add_reference(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False, response_class=HTMLResponse)
    async def reference() -> str:
        """Every call of this interface; nothing on the page comes from elsewhere."""
        return render(app.openapi())


def _add_errors(app: FastAPI) -> None:
    """Every error, also the framework's own, as `ErrorAnswer`."""

    def answer(status: int, code: str, message: str, retryable: bool) -> JSONResponse:
        content = ErrorAnswer(code=code, message=message, retryable=retryable).model_dump()
        return JSONResponse(content, status, {"retry-after": "1"} if retryable else None)

    @app.exception_handler(ServiceError)
    async def typed(request: Request, error: ServiceError) -> JSONResponse:
        _core(app).metrics.errors[error.code] += 1
        return answer(error.http, error.code, str(error), error.retryable)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        message = describe(error.errors()[0])
        _core(app).metrics.errors[BadMessage.code] += 1
        return answer(BadMessage.http, BadMessage.code, message, BadMessage.retryable)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        code = str(error.detail).lower().replace(" ", "_")
        return answer(error.status_code, code, f"{request.method} {request.url.path}: {error.detail}", False)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:  # nobody reads it
        return answer(Cancelled.http, Cancelled.code, "the client went away", Cancelled.retryable)

    @app.exception_handler(Exception)
    async def defect(request: Request, error: Exception) -> JSONResponse:  # logged by the server, which gets it next
        _core(app).metrics.errors[Internal.code] += 1
        return answer(500, Internal.code, "the server failed; the operator finds the cause in its log", True)
