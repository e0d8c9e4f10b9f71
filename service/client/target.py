"""Where a server is and how a request to it looks: what the blocking and the async client share. No sockets."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict
from urllib.parse import urlsplit

from numpy.typing import NDArray
from pydantic import ValidationError
from websockets.exceptions import InvalidStatus, WebSocketException

from inkling.models.extras import missing
from inkling.models.problems import first_problem
from inkling.service.client.clips import VIDEO
from inkling.service.client.errors import BadArgument, MissingPackage, Unreachable
from inkling.service.protocol.codec import Ready, Start
from inkling.service.protocol.image_binary import Pixels

DEFAULT_URL = "http://127.0.0.1:8000"
BUNDLE = "body-actions"
UNANSWERED = (OSError, WebSocketException, EOFError, ValueError, ImportError)
"""How a connection fails to open: TimeoutError is an OSError; ValueError: a name that no host can have; ImportError: a
proxy of a kind that needs another package."""

CLOSE_S = 2.0
"""How long a server may take to answer a close."""


class Options(TypedDict, total=False):
    """What a stream may be started with, as in the protocol's `start`."""

    version: str | None
    input: Literal["pose", "frame"]
    skeleton: str | None
    width: int | None
    height: int | None
    top_k: int | None
    policy: Literal["drop_oldest", "block"]
    results: Literal["json", "packed"]
    error_rate: float | None
    unknown: bool


class Target:
    """The addresses of one server, from any of its URLs: http, https, ws or wss; a path before `/v1` is kept.

    Raises BadArgument for anything else, and for a `ca_file` that cannot be read.
    """

    def __init__(
        self,
        url: str,
        timeout_s: float,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        ca_file: str | Path | None = None,
    ) -> None:
        no_address = f"{_without_password(url)!r} is not the address of a server; one looks like {DEFAULT_URL}"
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            parts.port  # noqa: B018 -- raises when it is none
        except ValueError:
            raise BadArgument(no_address) from None
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise BadArgument(no_address)
        if not timeout_s > 0:
            raise BadArgument(f"timeout_s must be positive, not {timeout_s}")
        secure = "s" if parts.scheme in ("https", "wss") else ""
        place = parts.netloc + parts.path.rstrip("/").removesuffix("/stream").removesuffix("/v1")
        self.http = f"http{secure}://{place}"
        self.stream = f"ws{secure}://{place}/v1/stream"
        self.timeout_s = timeout_s
        self._loopback = _is_loopback(parts.hostname)
        self._headers = dict(headers or {})
        if token is not None:
            self._headers["authorization"] = f"Bearer {token}"
        self._tls = _trusting(ca_file, bool(secure))

    def unreachable(self, error: Exception) -> Unreachable:
        """Why nobody answered, and what to do."""
        place = _without_password(self.http)
        if isinstance(error, InvalidStatus):
            status = error.response.status_code
            if status in (401, 403):
                return Unreachable(f"the server at {place} lets nobody in without a valid token= ({status})", False)
            retryable = status in (408, 425, 429) or status in (502, 503, 504)
        else:
            retryable = not isinstance(error, ValueError | ImportError | ssl.SSLError)
        why = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        if isinstance(error, ssl.SSLCertVerificationError):
            return Unreachable(
                f"the certificate of {place} is not trusted ({why}); name its authority: ca_file=", False
            )
        return Unreachable(f"no Inkling server answers at {place} ({why}); start one with: inkling serve", retryable)

    def connecting(self) -> dict[str, Any]:
        """How the WebSocket is opened, as `websockets` takes it."""
        # Small messages gain nothing from compression. Pings are sent by `keep_alive`, which knows a busy server.
        options: dict[str, Any] = {"compression": None, "ping_interval": None, "close_timeout": CLOSE_S}
        options |= {"additional_headers": self._headers, "open_timeout": self.timeout_s}
        options["proxy"] = None if self._loopback else True
        return options if self._tls is None else options | {"ssl": self._tls}

    def http_client(self) -> dict[str, Any]:
        """How HTTP requests are made, as httpx's clients take it."""
        options: dict[str, Any] = {"trust_env": not self._loopback, "headers": self._headers}
        return options if self._tls is None else options | {"verify": self._tls}

    def request(self, body: bytes, kind: str, **query: str | float | None) -> dict[str, Any]:
        """The request that scores a clip, as httpx takes it."""
        return {
            "url": f"{self.http}/v1/clips",
            "params": {name: value for name, value in query.items() if value is not None},
            "content": body,
            "headers": {"content-type": kind},
            # Scoring a long video takes its time; a server that dies meanwhile ends the connection.
            "timeout": (self.timeout_s, None if kind == VIDEO else self.timeout_s, self.timeout_s, self.timeout_s),
        }


def start_message(bundle: str, options: Options) -> Start:
    """The `start` of a stream. Raises BadArgument naming the option that the protocol does not allow."""
    try:
        return Start(bundle=bundle, **options)
    except ValidationError as error:
        raise BadArgument(first_problem(error)) from None


class SentImage(NamedTuple):
    """A file's bytes or pixels, and by how much what was given is wider and higher than what is sent."""

    image: bytes | Pixels
    scale: tuple[float, float] = (1.0, 1.0)


def ready_image(image: bytes | NDArray[Any], ready: Ready, bgr: bool, raw: bool = False) -> SentImage:
    """What to send for an image: a file as it is, pixels without loss with `raw`, else a JPEG of what is of use.

    Raises BadArgument, or MissingPackage for pixels where OpenCV is not installed.
    """
    if isinstance(image, bytes):
        return SentImage(image)
    try:
        from inkling.service.client.jpeg import (
            encode_image,
            plain_image,
        )  # here, so that clients without images need no OpenCV
    except ModuleNotFoundError as error:
        text = missing(error.name, "sending pixels (the bytes of a JPEG file need nothing)")
        if text is None:
            raise
        raise MissingPackage(text) from None

    return plain_image(image, bgr=bgr) if raw else encode_image(image, ready.image_size, bgr=bgr)


def _is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, so that no proxy can be on the way."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _trusting(ca_file: str | Path | None, secure: bool) -> ssl.SSLContext | None:
    """TLS as an https address needs it; None: for http. Raises BadArgument."""
    if not secure:
        if ca_file is not None:
            raise BadArgument("ca_file= is of use only with an https address")
        return None
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BadArgument(f"{ca_file}: no PEM file of certificates: {error.strerror or error}") from None


def _without_password(url: str) -> str:
    """An address as it may be shown: without `user:password@`."""
    return re.sub(r"(^|//)[^/@]*@", r"\1", url)
