"""How connections end, where no other test meets it. (Limits and slow readers: test_bad_input.)"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import socket as tcp
import struct
from pathlib import Path
from types import ModuleType

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.sync.client import connect

from inkling.service.websocket import transport, uvicorn_repairs
from tests.service.conftest import (
    Running,
    hear_all,
    opened,
    pose,
    running,
    say,
    tiny_settings,
    wait_until,
)


def own_names(module: ModuleType) -> tuple[set[str], set[str]]:
    """Names X of every `self.X` in a module's classes, and those that the module itself defines."""
    tree = ast.parse(inspect.getsource(module))
    used: set[str] = set()
    defined: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            (defined if isinstance(node.ctx, ast.Store) else used).add(node.attr)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            defined.add(node.name)
    return used, defined


async def _uvicorns_own() -> WebSocketsSansIOProtocol:
    async def app(scope: object, receive: object, send: object) -> None: ...

    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    return WebSocketsSansIOProtocol(config=config, server_state=ServerState(), app_state={})


SET_HERE = {"close_sent", "close_timer", "frames", "read_paused"}
OVERRIDDEN = {
    *("connection_lost", "data_received", "handle_close", "handle_connect", "handle_parser_exception"),
    *("handle_ping", "pause_writing", "resume_writing", "send", "send_receive_event_to_app", "shutdown"),
}


def test_everything_that_is_used_of_uvicorn_exists_in_the_installed_one() -> None:
    theirs = set(dir(asyncio.run(_uvicorns_own())))
    if "self.scope:" in inspect.getsource(WebSocketsSansIOProtocol.handle_connect):  # made with the handshake
        theirs.add("scope")
    used, defined = (set.union(*names) for names in zip(*map(own_names, (uvicorn_repairs, transport)), strict=True))
    assert {"conn", "config", "loop", "queue", "scope", "transport", "writable"} <= used - defined
    assert (used - defined) | SET_HERE | OVERRIDDEN <= theirs
    assert {name for name in defined & theirs if not name.startswith("__")} == (SET_HERE | OVERRIDDEN)


def test_a_client_that_closes_but_does_not_read_is_gone_after_the_linger_time(
    bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inkling.service.websocket.uvicorn_repairs.LINGER_S", 0.2)
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


def _defects(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the server logged as an error. The client library does too, when its socket is taken away under it."""
    return [r.getMessage() for r in caplog.records if r.levelname == "ERROR" and r.name != "websockets.client"]


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
    assert not _defects(caplog)


def test_after_the_refusal_of_a_message_nothing_more_is_read(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    with opened(server) as socket:
        before = server.counts("bad_message")
        socket.socket.sendall(b"\xff" * 8)
        with contextlib.suppress(ConnectionError):  # the client library hangs up as soon as it has read the close frame
            for _ in range(100):
                socket.socket.sendall(b"\x81\x85\x00\x00\x00\x00hello")
        messages, close = hear_all(socket)
    assert (len(messages), close) == (1, 1002)
    server.wait_idle()
    assert not _defects(caplog)
    assert server.counts("bad_message") == before + 1, "the messages after it were not decoded"
