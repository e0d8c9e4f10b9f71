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
from tests.service.conftest import Running, opened, raw, running, say, tiny_settings, wait_until

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


def test_a_newcomer_takes_the_place_of_a_socket_without_a_stream_or_a_body_that_drips(brief: Running) -> None:
    with ExitStack() as stack, opened(brief) as stream:
        for _ in range(4):
            stack.enter_context(raw(brief))
        for _ in range(16):
            stack.enter_context(dial(brief, CLIP))
        for _ in range(3):
            assert httpx.get(f"{brief.url}/livez").status_code == 200
        say(stream, {"type": "flush", "id": 3})
        assert "flushed" in str(stream.recv(20))


def test_who_finds_no_place_at_all_is_told_so(bundles: Path) -> None:
    with running(tiny_settings(bundles, max_connections=2)) as server, ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(opened(server))
        assert closed(stack.enter_context(dial(server))).startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("path", ["/v1/clips?bundle=tiny", "/v1/sources"])
@pytest.mark.parametrize("body", [b"", b"{", b"PK\x03\x04", b"\0\0\0\x20ftypmp42" * 1000])
def test_an_upload_that_its_client_gives_up_is_no_failure(
    server: Running, caplog: pytest.LogCaptureFixture, path: str, body: bytes
) -> None:
    before = server.counts("internal")
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n".encode()
    with dial(server, head + body):
        pass
    wait_until(lambda: not server.server.server_state.tasks)
    assert server.counts("internal") == before
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_what_is_no_http_in_the_midst_of_an_answer_is_no_failure(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    """The answer is given before the body has come, which then turns out to be none."""
    head = b"POST /nowhere HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"
    with dial(server, head) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")
        connection.sendall(b"no chunk\r\n")
        closed(connection)
    with dial(server, CLIP.replace(b"content-length: 1000000", b"transfer-encoding: chunked")) as connection:
        connection.sendall(b"no chunk\r\n")
        assert closed(connection).startswith(b"HTTP/1.1 400")
    wait_until(lambda: not server.server.server_state.tasks)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_rest_of_a_body_that_was_answered_is_not_waited_for(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "leftover_s", 0.25)
    begun = CLIP.replace(b"clips?bundle=tiny", b"nothing")
    with running(tiny_settings(bundles)) as server, dial(server, begun) as connection:
        assert connection.recv(65536).startswith(b"HTTP/1.1 404")

        def go_on() -> None:
            for _ in range(100):
                connection.sendall(b" " * 8192)
                time.sleep(0.01)  # fast enough for a body that somebody reads

        with pytest.raises(OSError, match=r"[Rr]eset|[Bb]roken"):
            go_on()


def test_an_answer_that_nobody_reads_is_given_up(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "unread_s", 0.25)
    with running(tiny_settings(bundles)) as server, socket.socket() as connection:
        host, _, port = server.url.removeprefix("http://").partition(":")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((host, int(port)))

        def ask() -> None:
            while True:  # the server stops reading when its answers are not read
                connection.sendall(b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n" * 100)

        with pytest.raises(OSError, match=r"[Rr]eset|[Bb]roken"):
            ask()
