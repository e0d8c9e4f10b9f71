from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from inkling.service.access.forwarded import PEER, Forwarded


def seen(client: str, *headers: tuple[str, str], kind: str = "http", scheme: str = "http") -> tuple[str, str, str]:
    """(client, peer, scheme) that the application gets to see."""
    found: list[tuple[str, str, str]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append((scope["client"][0], scope[PEER], scope["scheme"]))

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    async def send(message: Message) -> None:
        raise AssertionError("nothing is written")

    lines = [(name.encode(), value.encode()) for name, value in headers]
    scope = {"type": kind, "client": (client, 1), "scheme": scheme, "headers": lines}
    asyncio.run(Forwarded(app, ["10.0.0.1", "10.1.0.0/16"])(scope, receive, send))
    return found[0]


def test_a_proxy_that_is_believed_says_whose_request_it_is() -> None:
    said = ("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")
    assert seen("10.0.0.1", *said) == ("192.0.2.7", "10.0.0.1", "https")
    assert seen("10.1.2.3", *said) == ("192.0.2.7", "10.1.2.3", "https")
    assert seen("10.0.0.1", *said, kind="websocket", scheme="ws") == ("192.0.2.7", "10.0.0.1", "wss")


def test_nobody_else_is_believed() -> None:
    said = ("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")
    assert seen("192.0.2.99", *said) == ("192.0.2.99", "192.0.2.99", "http")


@pytest.mark.parametrize("written", ["10.0.0.1", "127.0.0.1", "nonsense", "198.51.100.1, 10.0.0.1"])
def test_what_a_client_wrote_before_the_proxy_counts_for_nothing(written: str) -> None:
    assert seen("10.0.0.1", ("x-forwarded-for", f"{written}, 192.0.2.7"))[0] == "192.0.2.7"
