"""Which hosts a request may be for, and which pages a browser may send it from. Pure.

A page of another site can make a browser send requests here (cross-site request forgery, cross-site WebSockets). By a
name of its own that points to this machine it could even read the answers (DNS rebinding). `Origin` gives the first
away, `Host` the second. An address in numbers cannot be rebound, so it is always a good host.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

LOCAL_NAMES = ("localhost", "*.localhost")


def host_allowed(header: str | None, allowed: Sequence[str]) -> bool:
    """header: `Host`, as sent. allowed: names and patterns such as `*.example.org`; `*` allows every name."""
    name = host_name(header or "")
    if not name:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return any(fnmatchcase(name, pattern.lower()) for pattern in (*LOCAL_NAMES, *allowed))
    return True


def origin_allowed(origin: str | None, host: str | None, allowed: Sequence[str]) -> bool:
    """origin: the header, which programs other than browsers do not send. allowed: origins such as `https://a.org`.

    A page of this server itself is always allowed. `*` allows every page.
    """
    if origin is None or "*" in allowed or origin in allowed:
        return True
    return urlsplit(origin).netloc.lower() == (host or "").lower() != ""


def host_name(header: str) -> str:
    """The name or address of a `Host` header, without its port and brackets; empty for what is none."""
    try:
        parts = urlsplit(f"//{header}")
        _ = parts.port  # raises for what is no port
    except ValueError:
        return ""
    if parts.username is not None or parts.path or parts.query or parts.fragment:
        return ""
    return parts.hostname or ""
