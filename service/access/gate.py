"""Who sends a request: by a token, a browser's cookie or a trusted proxy's header."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

from inkling.service.access.roles import LOCAL, Identity, Role
from inkling.service.access.sessions import Sessions
from inkling.service.access.throttle import Throttle
from inkling.service.access.tokens import Token, Tokens
from inkling.service.protocol.errors import TooManyTries, Unauthorized

COOKIE = "inkling_session"
SUBPROTOCOL = "inkling.token."
"""A browser cannot set headers on a WebSocket; it offers this and its token as one of its subprotocols."""


@dataclass(frozen=True, slots=True)
class ProxyLogin:
    """A reverse proxy that signs people in. header: has their name; addresses: of the proxy; role: what they may do."""

    header: str
    addresses: frozenset[str]
    role: Role


@dataclass(slots=True)
class Gate:
    """Knows everybody. tokens None: there can be none. As long as there are none nobody is asked: all are `LOCAL`."""

    tokens: Tokens | None
    proxy: ProxyLogin | None = None
    _asks: bool = False
    sessions: Sessions = field(default_factory=Sessions)
    throttle: Throttle = field(default_factory=Throttle)

    @property
    def asks(self) -> bool:
        """Whether a request must say who sends it: from the first token on, and then until the server ends."""
        if not self._asks:
            self._asks = self.proxy is not None or (self.tokens is not None and self.tokens.any())
        return self._asks

    def identify(self, headers: Mapping[str, str], address: str, peer: str, now_s: float) -> Identity | None:
        """Who that is; None when the request says nothing of it.

        headers: by lower-case name. address: the client's, also behind a proxy; peer: of the connection itself. now_s:
        seconds since 1970. Raises Unauthorized for a token or cookie that is not valid, TooManyTries.
        """
        if not self.asks:
            return LOCAL
        proxy = self.proxy
        if proxy is not None and peer in proxy.addresses and (name := headers.get(proxy.header)):
            return Identity(f"proxy:{name}", name, proxy.role)
        text = _bearer(headers)
        if text is not None:
            return self.sign_in(text, address, now_s).identity
        if (cookie := session_cookie(headers)) is not None:
            token_id = self.sessions.token_id(cookie, now_s)
            token = None if token_id is None or self.tokens is None else self.tokens.get(token_id, now_s)
            if token is None:
                self.sessions.end(cookie)
                raise Unauthorized("you are no longer signed in: sign in again on the page /login")
            return token.identity
        return None

    def sign_in(self, text: str, address: str, now_s: float) -> Token:
        """The token of that text. Raises Unauthorized, TooManyTries."""
        if self.tokens is None:
            raise Unauthorized("this server has no tokens and asks for none")
        wait_s = self.throttle.wait_s(address, now_s)
        if wait_s > 0:
            raise TooManyTries(f"too many wrong tokens came from this address; try again in {wait_s:.0f} s")
        token = self.tokens.find(text, now_s)
        if token is None:
            self.throttle.failed(address, now_s)
            raise Unauthorized("this token is not valid: it is mistyped, revoked or has expired")
        self.throttle.succeeded(address)
        return token


def session_cookie(headers: Mapping[str, str]) -> str | None:
    """The value of our cookie, if there is one."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def _bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    for offered in headers.get("sec-websocket-protocol", "").split(","):
        if offered.strip().startswith(SUBPROTOCOL):
            return offered.strip().removeprefix(SUBPROTOCOL)
    return None
