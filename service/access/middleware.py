"""What stands in front of every request: its host, the page it comes from, who sends it, and whether that one may.

An ASGI middleware around the whole application, so that no route can be forgotten. It adds the security headers to
answers, and writes a line to the audit log for every request that changes the server.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inkling.service.access.forwarded import PEER
from inkling.service.access.gate import Gate
from inkling.service.access.origins import host_allowed, origin_allowed
from inkling.service.access.roles import Identity, Role
from inkling.service.access.rules import ANYBODY, Need, needed
from inkling.service.protocol.errors import Forbidden, ServiceError, Unauthorized

audit = logging.getLogger("inkling.audit")

IDENTITY = "inkling.identity"
"""Key of the scope: the sender's `Identity`, or None on a WebSocket whose first message must bring a token."""

_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
_FORMS = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
"""What a page of another site can post without asking first."""

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)
_POLICY = b"default-src 'self'; img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"


@dataclass(frozen=True, slots=True)
class AccessTerms:
    """What a server asks of requests. hosts, origins: allowed beside the server's own."""

    gate: Gate
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    refused: Callable[[str], None] = lambda code: None
    """Counts what is refused, by error code."""


@dataclass(frozen=True, slots=True)
class Access:
    """The middleware. terms: asked at each request, since a server's parts may be made after its application."""

    app: ASGIApp
    terms: Callable[[], AccessTerms]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])}
        method = scope["method"] if scope["type"] == "http" else "WEBSOCKET"
        terms = self.terms()
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        try:
            _check_page(terms, headers, method, path)
            identity = _admit(terms.gate, scope, headers, needed(method, path))
        except ServiceError as error:
            terms.refused(error.code)
            await _refuse(scope, receive, send, error)
            return
        scope[IDENTITY] = identity
        if scope["type"] == "websocket":
            await self.app(scope, receive, send)
        else:
            await self.app(scope, receive, _guarded(send, scope, method, identity))


def _check_page(terms: AccessTerms, headers: dict[str, str], method: str, path: str) -> None:
    """Raises Forbidden for a host that is not ours, and for pages of other sites that want to do something."""
    host = headers.get("host")
    if not host_allowed(host, terms.hosts):
        raise Forbidden("this server is not known by that host name: an operator adds it to allowed_hosts")
    if method in _SAFE:
        return
    if not origin_allowed(headers.get("origin"), host, terms.origins):
        raise Forbidden("pages of another site may not use this server: an operator adds it to allowed_origins")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if method != "WEBSOCKET" and kind in _FORMS and path not in ("/login", "/logout", "/v1/clips"):
        raise Forbidden("send JSON, with content-type: application/json")


def _admit(gate: Gate, scope: Scope, headers: dict[str, str], need: Need) -> Identity | None:
    """Who may do this. Raises Unauthorized, Forbidden, TooManyTries."""
    if need == ANYBODY:
        return None
    address = (scope.get("client") or ("", 0))[0]
    identity = gate.identify(headers, address, scope.get(PEER, address), time.time())
    if identity is None:
        if scope["type"] == "websocket":
            return None  # its first message may bring a token
        page = f"{scope.get('root_path', '')}/login"
        raise Unauthorized(f"this server asks for a token: send it as `Authorization: Bearer …`, or sign in at {page}")
    check_role(identity, need)
    return identity


def check_role(identity: Identity, need: Need) -> None:
    """Raises Forbidden."""
    if isinstance(need, Role) and not identity.may(need):
        raise Forbidden(f"this needs the role {need}; the token {identity.name!r} has the role {identity.role}")


def _guarded(send: Send, scope: Scope, method: str, identity: Identity | None) -> Callable[[Message], Awaitable[None]]:
    """The same `send`, with security headers, and a line of audit for what changes the server."""

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS, *_policy(message)]}
            if method not in _SAFE:
                who = "nobody" if identity is None else identity.name
                client = (scope.get("client") or ("", 0))[0]
                told = {"who": who, "address": client, "status": message["status"]}
                audit.info("%s %s", method, scope["path"], extra=told)
        await send(message)

    return guarded


def _policy(message: Message) -> list[tuple[bytes, bytes]]:
    """A content security policy, where the answer has none of its own."""
    there = any(name.lower() == b"content-security-policy" for name, _ in message.get("headers", ()))
    return [] if there else [(b"content-security-policy", _POLICY)]


async def _refuse(scope: Scope, receive: Receive, send: Send, error: ServiceError) -> None:
    if scope["type"] == "websocket":
        await receive()  # the request to connect
        # Before it is accepted, a close is the answer 403.
        await send({"type": "websocket.close", "code": error.close or 4403, "reason": error.code})
        return
    content: dict[str, Any] = {"code": error.code, "message": str(error), "retryable": error.retryable}
    headers = {"www-authenticate": "Bearer"} if error.http == 401 else None
    await JSONResponse(content, error.http, headers)(scope, receive, send)
