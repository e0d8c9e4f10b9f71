"""Where a server is and how a request to it looks: what the blocking and the async client share. No sockets."""

from __future__ import annotations

import re
from typing import Any, Literal, TypedDict
from urllib.parse import urlsplit

from numpy.typing import NDArray
from pydantic import ValidationError
from websockets.exceptions import InvalidHandshake, InvalidMessage

from inkling.models.problems import first_problem
from inkling.service.client.clips import VIDEO
from inkling.service.client.stream_state import ClientError, People, Unreachable
from inkling.service.protocol.codec import Ready, Start

DEFAULT_URL = "http://127.0.0.1:8000"
BUNDLE = "body-actions"
VIDEO_BUNDLE = "fall-watch"
UNANSWERED = (OSError, InvalidHandshake, InvalidMessage, EOFError)
"""How a connection fails to open; TimeoutError is an OSError."""

CONNECT: dict[str, Any] = {"compression": None, "ping_interval": 20.0, "ping_timeout": None}
"""Small messages gain nothing from compression; pings keep a path open, but a busy server is not a dead one."""

Frame = tuple[float | None, People]
"""`pts_s` (None: stamped on arrival) and the people of one frame."""


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


class Target:
    """The addresses of one server, from any of its URLs: http, https, ws or wss; a path before `/v1` is kept.

    Raises ClientError for anything else.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise ClientError(f"{url!r} is not the address of a server; one looks like {DEFAULT_URL}")
        secure = "s" if parts.scheme in ("https", "wss") else ""
        place = parts.netloc + parts.path.rstrip("/").removesuffix("/stream").removesuffix("/v1")
        self.http = f"http{secure}://{place}"
        self.stream = f"ws{secure}://{place}/v1/stream"
        self.timeout_s = timeout_s

    def unreachable(self, error: Exception) -> Unreachable:
        """Why nobody answered, and what to do."""
        why = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
        return Unreachable(f"no Inkling server answers at {self.http} ({why}); start one with: inkling serve")

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
    """The `start` of a stream. Raises ClientError naming the option that the protocol does not allow."""
    try:
        return Start(bundle=bundle, **options)
    except ValidationError as error:
        raise ClientError(first_problem(error)) from None


def ready_image(image: bytes | NDArray[Any], ready: Ready, bgr: bool) -> bytes:
    """The file to send for an image: itself if it is one, else a JPEG of what is of use. Raises ValueError."""
    if isinstance(image, bytes):
        return image
    from inkling.service.client.jpeg import encode_image  # here, so that clients without images need no OpenCV

    return encode_image(image, ready.image_size, bgr=bgr)
