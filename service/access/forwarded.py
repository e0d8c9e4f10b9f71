"""Who asks through a reverse proxy, and how: its client's address and scheme, where the proxy may be believed.

An ASGI middleware outside of `Access`. Without it all who come through a proxy would be one address: five wrong tokens
of anybody would keep everybody out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

PEER = "inkling.peer"
"""Key of the scope: the address at the other end of the connection itself, which is the proxy's where there is one."""


class Forwarded:
    """Takes the client's address from `X-Forwarded-For` and the scheme from `X-Forwarded-Proto`.

    Of several addresses in the header the last one that is not a proxy's counts: it is what our proxy saw; the ones
    before it anybody could have written.
    """

    def __init__(self, app: ASGIApp, proxies: Iterable[str]) -> None:
        """proxies: addresses and networks that are believed; nobody else's headers are."""
        self._believing: Any = ProxyHeadersMiddleware(cast(Any, app), list(proxies))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or WebSocket."""
        if scope["type"] in ("http", "websocket"):
            scope[PEER] = (scope.get("client") or ("", 0))[0]
        await self._believing(scope, receive, send)
