"""`/login` and `/logout`: a browser trades a token for a cookie that scripts cannot read."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from inkling.service.access.gate import COOKIE, Gate, session_cookie
from inkling.service.access.sessions import LIFETIME_S
from inkling.service.protocol.errors import ServiceError, TooLarge

MAX_FORM = 4096
"""Bytes of the form: it has one token and one path."""

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;display:grid;place-items:center;min-height:100vh;margin:0;
background:light-dark(#f4f5f7,#15171a);color:light-dark(#1a1c1f,#e8eaed);color-scheme:light dark}
form{display:grid;gap:.75rem;width:min(26rem,90vw)}
input,button{font:inherit;padding:.6rem .7rem;border-radius:.4rem;border:1px solid light-dark(#8a9099,#666d77)}
button{background:#1f5fbf;color:#fff;border-color:#1f5fbf;cursor:pointer}
.error{color:light-dark(#a1221a,#ff9b93)}
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in to Inkling</title><link rel="stylesheet" href="{root}/login.css"></head>
<body><form method="post" action="{root}/login"><h1>Inkling</h1>{error}
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input type="hidden" name="next" value="{next}">
<button>Sign in</button>
<p>An operator makes tokens with <code>inkling tokens create NAME --role view</code>.</p></form></body></html>
"""


def login_router(gate: Callable[[], Gate]) -> APIRouter:
    """The routes; `gate` is asked at each request."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login.css")
    async def style() -> Response:
        return Response(_STYLE, media_type="text/css")

    @router.get("/login")
    async def page(request: Request, next: str = "/") -> HTMLResponse:
        return _page(_root(request), next)

    @router.post("/login")
    async def sign_in(request: Request) -> Response:
        form = parse_qs((await _small(request)).decode("utf-8", "replace"))
        root, after = _root(request), form.get("next", ["/"])[0]
        address = request.client.host if request.client else ""
        try:
            token = gate().sign_in(form.get("token", [""])[0].strip(), address, time.time())
        except ServiceError as error:
            return _page(root, after, error)
        answer = RedirectResponse(_local(root, after), 303)
        answer.set_cookie(
            COOKIE, gate().sessions.begin(token.id, time.time()),
            max_age=round(LIFETIME_S), path=root or "/",
            httponly=True, samesite="strict", secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    @router.post("/logout")
    async def sign_out(request: Request) -> Response:
        cookie = session_cookie(request.headers)
        if cookie is not None:
            gate().sessions.end(cookie)
        root = _root(request)
        answer = RedirectResponse(f"{root}/login", 303)
        answer.delete_cookie(COOKIE, path=root or "/")
        return answer

    return router


def _root(request: Request) -> str:
    """The path under which a reverse proxy offers the server; empty for the root."""
    root: str = request.scope.get("root_path", "")
    return root


def _page(root: str, after: str, error: ServiceError | None = None) -> HTMLResponse:
    shown = "" if error is None else f'<p class="error" role="alert">{html.escape(str(error))}</p>'
    text = _PAGE.format(root=root, error=shown, next=html.escape(_local(root, after), quote=True))
    return HTMLResponse(text, 200 if error is None else error.http, {"cache-control": "no-store"})


def _local(root: str, path: str) -> str:
    """The path of a page of this server, as a browser sees it; the first one for anything that would lead elsewhere."""
    plain = path.startswith(f"{root}/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if plain and ".." not in path.split("/") else f"{root}/"


async def _small(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise TooLarge(f"the form has at most {MAX_FORM} bytes")
    return bytes(body)
