"""`/v1/sources`: add, look at and remove the videos that the server fetches itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.types import Message

from inkling.models.clean_decoding import Damage
from inkling.service.access.middleware import IDENTITY
from inkling.service.access.quotas import Quotas
from inkling.service.access.roles import Identity
from inkling.service.http.schemas import ErrorAnswer
from inkling.service.protocol.errors import TooLarge
from inkling.service.sources.definition import SourceDefinition
from inkling.service.sources.lifecycle import Cause, SourceState
from inkling.service.sources.manager import SourceManager
from inkling.service.sources.source import Source

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer} for status in (403, 404, 413, 415, 422, 429, 503)
}


MAX_BODY = 64 * 1024
"""Bytes of a request; a definition has a few thousand at most."""


class _SmallBody(APIRoute):
    """A route that reads no more than `MAX_BODY`: FastAPI itself would read whatever is sent."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            body = bytearray()
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise TooLarge(f"the definition of a source has at most {MAX_BODY} bytes")

            async def whole() -> Message:
                return {"type": "http.request", "body": bytes(body), "more_body": False}

            return await handle(Request(request.scope, whole))

        return bounded


class SourceRow(BaseModel):
    """A source now. id: also that of its stream. url: without credentials and query values.

    state: `connecting`, `live`, `stalled` (no frame for a while), `retrying` (waits for the next try), `ended`,
    `failed` (another try would not help); cause, message: why it is not live. since_s: how long it has been so.
    failures: connections in a row that did not last. frames: fetched since the server's start. damaged: frames that
    were left out instead, by cause. kept: across restarts.
    """

    id: str
    name: str | None
    url: str
    bundle: str
    version: str | None
    state: SourceState
    cause: Cause | None
    message: str
    since_s: float
    failures: int
    retry_in_s: float | None
    frames: int
    damaged: dict[Damage, int]
    width: int | None
    height: int | None
    format: str | None
    warnings: tuple[str, ...]
    kept: bool


def source_router(sources: Callable[[], SourceManager], quotas: Callable[[], Quotas]) -> APIRouter:
    """The routes. sources, quotas: those of the running server."""
    routes = APIRouter(prefix="/v1/sources", tags=["sources"], responses=_ERRORS, route_class=_SmallBody)

    @routes.post("", status_code=201)
    async def add(definition: Annotated[SourceDefinition, Body()], request: Request, response: Response) -> SourceRow:
        """Fetch a video and watch it with a bundle, until the source is removed. Its predictions: those of the stream
        of the same id."""
        sender: Identity = request.scope[IDENTITY]
        quotas().check_sources(sender)
        source = await sources().add(definition, quotas().people_of(sender))
        quotas().add_source(sender, source.id)
        response.headers["location"] = f"{request.scope['root_path']}/v1/sources/{source.id}"
        return _row(sources(), source)

    @routes.get("")
    async def every() -> list[SourceRow]:
        """All sources, the oldest first."""
        return [_row(sources(), source) for source in sources().all()]

    @routes.get("/{source_id}")
    async def one(source_id: str) -> SourceRow:
        """One source."""
        return _row(sources(), sources().get(source_id))

    @routes.delete("/{source_id}", status_code=204)
    async def remove(source_id: str) -> None:
        """Stop a source at once, whatever it is doing, and forget it."""
        await sources().remove(source_id)
        quotas().remove_source(source_id)

    return routes


def _row(sources: SourceManager, source: Source) -> SourceRow:
    lifecycle, opened = source.lifecycle, source.opened
    bundle, version = source.bundle
    return SourceRow(
        id=source.id,
        name=source.definition.name,
        url=source.address.shown,
        bundle=bundle,
        version=version,
        state=lifecycle.state,
        cause=lifecycle.cause,
        message=lifecycle.message,
        since_s=round(source.since_s(), 3),
        failures=lifecycle.failures,
        retry_in_s=source.retry_in_s(),
        frames=source.tally.frames,
        damaged={cause: source.tally.damaged[cause] for cause in Damage},
        width=opened.width if opened else None,
        height=opened.height if opened else None,
        format=opened.format if opened else None,
        warnings=(*source.warnings, *source.frame_warnings()),
        kept=sources.store.path is not None,
    )
