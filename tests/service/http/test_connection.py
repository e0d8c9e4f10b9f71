"""HTTP connections that hold back, flood or never end: each is closed or refused, and others are served meanwhile."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from inkling.service.http.connection import MAX_HEAD, BoundedConnection
from tests.service.conftest import Running, opened, running, say, tiny_settings, wait_until

CLIP = b"POST /v1/clips?bundle=tiny HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n"


@pytest.fixture
def brief(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A server that waits for a quarter of a second only, and has few connections."""
    monkeypatch.setattr(BoundedConnection, "head_s", 0.25)
    monkeypatch.setattr(BoundedConnection, "body_s", 0.25)
    with running(tiny_settings(bundles, max_connections=8)) as server:
        yield server


def dial(server: Running, data: bytes = b"") -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=20)
    connection.sendall(data)
    return connection


def closed(connection: socket.socket) -> bytes:
    """What the server says until it closes."""
    said = b""
    try:
        while data := connection.recv(65536):
            said += data
    except ConnectionResetError:
        pass
    return said


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET /livez HTTP/1.1\r\nhost: x", CLIP, CLIP + b"{", b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\nGET /"],
    ids=["nothing", "half a head", "no body", "half a body", "half a second head"],
)
def test_what_is_never_finished_is_closed(brief: Running, begun: bytes) -> None:
    with dial(brief, begun) as connection:
        closed(connection)
    assert httpx.get(f"{brief.url}/livez").status_code == 200


def test_a_byte_now_and_then_does_not_keep_a_connection(brief: Running) -> None:
    def drip() -> None:
        for _ in range(1000):
            connection.sendall(b" ")
            time.sleep(0.02)  # what the attack is: slow

    with dial(brief, CLIP) as connection, pytest.raises(OSError, match=r"[Rr]eset|[Bb]roken"):
        drip()
    assert httpx.get(f"{brief.url}/livez").status_code == 200


def test_a_body_that_keeps_coming_is_taken_however_long_it_takes(brief: Running) -> None:
    part = b" " * 8192

    def slowly() -> Iterator[bytes]:
        for _ in range(20):
            time.sleep(0.05)  # the whole takes four times as long as any part may
            yield part
        yield b"{}"

    answer = httpx.post(f"{brief.url}/v1/clips", params={"bundle": "tiny"}, content=slowly())
    assert answer.json()["code"] == "bad_clip"


@pytest.mark.parametrize("line", [b"x: " + b"a" * 1000 + b"\r\n", b"a" * 1000], ids=["headers", "one header"])
def test_an_endless_head_is_refused_at_its_limit(server: Running, line: bytes) -> None:
    def flood() -> None:
        for _ in range(20_000):
            connection.sendall(line)

    begun = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nx: "
    with dial(server, begun) as connection, pytest.raises(OSError, match=r"[Rr]eset|[Bb]roken"):
        flood()
    assert httpx.get(f"{server.url}/livez").status_code == 200


def test_a_head_below_the_limit_is_served(server: Running) -> None:
    assert httpx.get(f"{server.url}/livez", headers={"x-long": "a" * (MAX_HEAD - 1024)}).status_code == 200


def test_pipelined_requests_are_answered_in_turn(server: Running) -> None:
    with dial(server, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n" * 200) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert closed(connection).count(b"200 OK") >= 1


def test_idle_connections_give_way_to_newcomers_and_streams_do_not(brief: Running) -> None:
    with ExitStack() as stack, opened(brief) as stream:
        for _ in range(20):
            stack.enter_context(dial(brief))
        wait_until(lambda: len(brief.server.server_state.connections) <= 8)
        assert httpx.get(f"{brief.url}/livez").status_code == 200
        say(stream, {"type": "flush", "id": 3})
        assert "flushed" in str(stream.recv(20))
