"""Which role a request needs. Pure.

What is not listed needs `admin`: a route that somebody forgot is closed, not open.
"""

from __future__ import annotations

import re
from typing import Literal

from inkling.service.access.roles import Role

ANYBODY: Literal["anybody"] = "anybody"
"""No token at all: probes, and the page on which one signs in."""
ANY_TOKEN: Literal["any token"] = "any token"  # noqa: S105 - no password

Need = Role | Literal["anybody", "any token"]

_RULES: tuple[tuple[str, str, Need], ...] = (
    # methods, path, who
    ("GET", r"/livez|/readyz", ANYBODY),
    ("GET POST", r"/login", ANYBODY),
    ("GET", r"/login\.css", ANYBODY),
    ("POST", r"/logout", ANYBODY),
    ("GET", r"/metrics", Role.VIEW),
    ("GET", r"/v1/(version|bundles|protocol)", ANY_TOKEN),
    ("GET", r"/docs(/.*)?|/redoc|/openapi\.json", ANY_TOKEN),
    ("WEBSOCKET", r"/v1/stream", Role.STREAM),
    ("POST GET", r"/v1/clips", Role.STREAM),
    ("GET DELETE", r"/v1/clips/[^/]+", Role.STREAM),
    ("GET", r"/v1/streams", Role.VIEW),
    ("GET WEBSOCKET", r"/v1/streams/[^/]+/predictions", Role.VIEW),
    ("GET", r"/v1/sources(/[^/]+)?", Role.VIEW),
    ("POST", r"/v1/sources", Role.OPERATE),
    ("PATCH DELETE", r"/v1/sources/[^/]+", Role.OPERATE),
)
_COMPILED = tuple((frozenset(methods.split()), re.compile(path), need) for methods, path, need in _RULES)


def needed(method: str, path: str) -> Need:
    """What a request needs. method: of HTTP in capitals, or WEBSOCKET; HEAD needs what GET does."""
    asked = "GET" if method == "HEAD" else method
    for methods, pattern, need in _COMPILED:
        if asked in methods and pattern.fullmatch(path):
            return need
    return Role.ADMIN


def listed(method: str, path: str) -> bool:
    """Whether a rule names the request, so that `admin` is not merely what is left."""
    return any(method in methods and pattern.fullmatch(path) for methods, pattern, _ in _COMPILED)
