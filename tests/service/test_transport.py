"""Our changes to uvicorn's WebSocket transport that no other test meets. (Limits and slow readers: test_bad_input.)"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as tcp
import struct
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.service.conftest import Running, hear_all, opened, pose, running, say, tiny_settings, wait_until


def test_a_client_that_closes_but_does_not_read_is_gone_after_the_linger_time(
    bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.transport.LINGER_S", 0.2)
    # An outbox without end: it is the socket's buffers that must fill, not the patience with a slow reader.
    with running(tiny_settings(bundles, outbox=10**9)) as server:
        _close_without_reading(server)


def _close_without_reading(server: Running) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    narrow = tcp.socket()
    narrow.setsockopt(tcp.SOL_SOCKET, tcp.SO_RCVBUF, 4096)
    narrow.connect((host, int(port)))
    connections = server.server.server_state.connections
    with connect(server.stream_url, sock=narrow, compression=None, max_queue=1, close_timeout=60) as socket:
        say(socket, {"type": "start", "bundle": "tiny"})
        bad = json.dumps(pose(1, -1.0, {}))
        while all(map(_writable, list(connections))):
            say(socket, bad)
        with socket.protocol_mutex:
            socket.protocol.send_close(1000)
            socket.send_data()
        wait_until(lambda: not connections)
        socket.close_timeout = 0


def _writable(connection: object) -> bool:
    event = getattr(connection, "writable", None)
    return not isinstance(event, asyncio.Event) or event.is_set()


def test_a_client_that_resets_the_connection_while_it_is_told_of_its_error_is_no_failure(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        with opened(server) as socket:
            say(socket, "nonsense")
            socket.socket.setsockopt(tcp.SOL_SOCKET, tcp.SO_LINGER, struct.pack("ii", 1, 0))
            socket.socket.close()
    server.wait_idle()
    wait_until(lambda: not server.server.server_state.connections)
    assert "Traceback" not in caplog.text


def test_after_the_refusal_of_a_message_nothing_more_is_read(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    with opened(server) as socket:
        before = server.counts("bad_message")
        socket.socket.sendall(b"\xff" * 8)
        with contextlib.suppress(BrokenPipeError):  # the client library hangs up as soon as it has read the close frame
            for _ in range(100):
                socket.socket.sendall(b"\x81\x85\x00\x00\x00\x00hello")
        messages, close = hear_all(socket)
    assert (len(messages), close) == (1, 1002)
    server.wait_idle()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert server.counts("bad_message") == before, "the messages after it were not decoded"
