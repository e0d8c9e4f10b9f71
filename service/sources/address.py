"""Where a source is.

    rtsp://user:password@camera.lan:554/stream     rtsps, http, https likewise
    file:clips/fall.mp4                            below a directory of the setting `source_directories`
    device:/dev/video0                             named in the setting `source_devices`

An address is kept whole and shown without its secrets. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from inkling.service.protocol.errors import BadSource

NETWORK = ("rtsp", "rtsps", "http", "https")
SCHEMES = (*NETWORK, "file", "device")
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
MAX_LENGTH = 2048
HIDDEN = "***"

_SECRET_KEY = re.compile(
    r"(?i)\b([\w.-]*(?:user|usr|login|pass|pwd|token|key|auth|secret|sig|session)[\w.-]*)=([^&/;,]*)"
)
"""`key=value` in a path, as some cameras have it: rtsp://192.168.1.9/user=admin&password=1234&channel=1."""
_USER_INFO = re.compile(r"(://)[^/\s@]*(?:@[^/\s@]*)*@")
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?|[0-9a-f:.]*:[0-9a-f:.]*")
_SHORTEST_SECRET = 4
"""Shorter ones cannot be taken out of a sentence without taking it to pieces; where a URL has them they go anyway."""


@dataclass(frozen=True, slots=True, repr=False)
class Address:
    """A parsed URL. host: lower case, IPv6 without brackets; empty for files and devices. user, password: decoded.

    rest: the path (and query) as it was written; for files and devices the decoded path. Printing an address, also as
    a part of something else, prints `shown`.
    """

    scheme: str
    host: str
    port: int | None
    user: str | None
    password: str | None
    rest: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises BadSource with a sentence that does not repeat the URL."""
        if not 0 < len(url) <= MAX_LENGTH or not url.isprintable():
            raise BadSource(f"a source's URL has 1 to {MAX_LENGTH} printable characters")
        scheme, colon, rest = url.partition(":")
        scheme = scheme.lower()
        if not colon or scheme not in SCHEMES:
            raise BadSource(f"a source's URL begins with one of {', '.join(f'{name}:' for name in SCHEMES)}")
        return cls._network(scheme, rest) if scheme in NETWORK else cls._local(scheme, rest)

    @classmethod
    def _network(cls, scheme: str, rest: str) -> Address:
        if not rest.startswith("//") or not rest.isascii() or "\\" in rest or " " in rest:
            raise BadSource(f"write it as {scheme}://host/path, with %XX for what is not plain ASCII")
        try:
            parts = urlsplit(f"{scheme}:{rest}")
            host, port = parts.hostname or "", parts.port
        except ValueError:  # its text would repeat what it did not understand, maybe a password
            raise BadSource("the host or port of the URL is not one; a password's '/', '?' and '#' are %XX") from None
        if not _HOST.fullmatch(host):
            raise BadSource("the URL names no host, or one with characters that no host has")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        if "@" in path or "@" in parts.fragment:  # else a piece of a password might be taken for a path, and be shown
            raise BadSource("write '@' in a path as %40, and '/', '?' and '#' in a password as %2F, %3F and %23")
        user = None if parts.username is None else unquote(parts.username)
        password = None if parts.password is None else unquote(parts.password)
        return cls(scheme, host, port, user, password, path)

    @classmethod
    def _local(cls, scheme: str, rest: str) -> Address:
        if rest.startswith("//"):
            host, slash, rest = rest[2:].partition("/")
            if host not in ("", "localhost") or not slash:
                raise BadSource(f"write it as {scheme}:/path or {scheme}:path")
            rest = f"/{rest}"
        path = unquote(rest)
        if not path or not path.isprintable():
            raise BadSource(f"the URL names no {scheme}")
        return cls(scheme, "", None, None, None, path)

    @property
    def url(self) -> str:
        """The whole of it, secrets included. Only the store and the connection may have it."""
        return self.at(self.host)

    def at(self, host: str, *, credentials: bool = True) -> str:
        """The same URL with another host (an IP address that was looked up and checked)."""
        if self.scheme not in NETWORK:
            return f"{self.scheme}:{quote(self.rest)}"
        user_info = ""
        if credentials and self.user is not None:
            user_info = quote(self.user, safe="")
            if self.password is not None:
                user_info += f":{quote(self.password, safe='')}"
            user_info += "@"
        return f"{self.scheme}://{user_info}{self._authority(host)}{self.rest}"

    @property
    def host_header(self) -> str:
        """What HTTP's `Host` says."""
        return self._authority(self.host)

    def _authority(self, host: str) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"[{host}]{port}" if ":" in host else f"{host}{port}"

    @property
    def shown(self) -> str:
        """For people, logs and answers: without user, password, and the values of a query."""
        if self.scheme not in NETWORK:
            return f"{self.scheme}:{self.rest}"
        user_info = "" if self.user is None else f"{HIDDEN}@"
        path, mark, query = self.rest.partition("?")
        path = _SECRET_KEY.sub(rf"\1={HIDDEN}", path)
        if mark:
            path += "?" + "&".join(_hide(part) for part in query.split("&"))
        return f"{self.scheme}://{user_info}{self._authority(self.host)}{path}"

    def scrub(self, text: str) -> str:
        """A library's message, without what must not be shown."""
        text = _USER_INFO.sub(rf"\1{HIDDEN}@", text.replace(self.url, self.shown))
        for secret in sorted(self._secrets(), key=len, reverse=True):
            text = text.replace(secret, HIDDEN)
        return text

    def _secrets(self) -> set[str]:
        found = [self.user or "", self.password or ""]
        path, _, query = self.rest.partition("?") if self.scheme in NETWORK else ("", "", "")
        found += [match[2] for match in _SECRET_KEY.finditer(path)]
        found += [part.partition("=")[2] for part in query.split("&")]
        forms = {form for secret in found for form in (secret, unquote(secret), quote(secret, safe=""))}
        return {form for form in forms if len(form) >= _SHORTEST_SECRET}

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Address({self.shown!r})"


def _hide(part: str) -> str:
    key, equals, _ = part.partition("=")
    return f"{key}={HIDDEN}" if equals else HIDDEN
