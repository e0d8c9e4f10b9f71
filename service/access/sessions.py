"""Browsers that have signed in: a random cookie each, which stands for a token while that is valid.

Pure: time comes in as an argument. They live in memory; after a restart people sign in again.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass

LIFETIME_S = 12 * 3600.0
MOST = 1024
"""Browsers at once; the one that signed in first gives way."""


@dataclass(slots=True)
class _Session:
    token_id: str
    expires_s: float


class Sessions:
    """Cookies and the tokens behind them."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def begin(self, token_id: str, now_s: float) -> str:
        """A new cookie for a token."""
        cookie = secrets.token_urlsafe(32)
        self._sessions[cookie] = _Session(token_id, now_s + LIFETIME_S)
        if len(self._sessions) > MOST:
            self._sessions.popitem(last=False)
        return cookie

    def token_id(self, cookie: str, now_s: float) -> str | None:
        """The id of the token that a cookie stands for."""
        session = self._sessions.get(cookie)
        if session is None:
            return None
        if now_s >= session.expires_s:
            del self._sessions[cookie]
            return None
        return session.token_id

    def end(self, cookie: str) -> None:
        """Sign out."""
        self._sessions.pop(cookie, None)
