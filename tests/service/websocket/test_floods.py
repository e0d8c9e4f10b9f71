"""Clients that flood, hold back or send anything at all: each is told or closed, and the stream beside goes on."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket as tcp
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from inkling.service.http.connection import BoundedConnection
from inkling.service.protocol.codec import ErrorMessage, Ready
from inkling.service.websocket.transport import MAX_FIRST, StreamTransport
from tests.service.conftest import (
    Bystander,
    Running,
    body,
    finish,
    hear,
    hear_all,
    narrow,
    opened,
    pose,
    raw,
    running,
    say,
    settled,
    tiny_settings,
    wait_until,
)

Beside = Callable[..., Bystander]

PING = Frame(Opcode.PING, b"").serialize(mask=True)
EMPTY = Frame(Opcode.BINARY, b"").serialize(mask=True)
BEGIN = Frame(Opcode.TEXT, b"", False).serialize(mask=True)
FRAGMENT = Frame(Opcode.CONT, b"", False).serialize(mask=True)
MIB = 1024 * 1024
FLOODS = {"pings": PING * 5000, "empty messages": EMPTY * 5000, "empty fragments": BEGIN + FRAGMENT * 5000}


def pour(socket: tcp.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):  # the server has had enough
        for _ in range(200):
            socket.sendall(data)


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("state", ["before start", "streaming", "following"])
def test_a_flood_of_nothing_is_closed_with_an_error(server: Running, beside: Beside, flood: bytes, state: str) -> None:
    with beside(), opened(server) as other:
        if state == "following":
            (row,) = [row for row in httpx.get(f"{server.url}/v1/streams").json() if not row["counts"]["received"]]
            attack = connect(f"{server.stream_url}s/{row['stream']}/predictions", compression=None, ping_interval=None)
        else:
            attack = connect(server.stream_url, compression=None, ping_interval=None)
        with attack as socket:
            if state == "streaming":
                say(socket, {"type": "start", "bundle": "tiny"})
                hear(socket)
            socket.socket.sendall(flood)
            heard, close = hear_all(socket)
        assert isinstance(heard[-1], ErrorMessage)
        assert (heard[-1].code, close) == ("flood", 4429)
        finish(other)
    server.wait_idle()


ATTACK = """
import socket, sys, time, os
host, port, flood = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
end = time.monotonic() + 3
print("begun", flush=True)
while time.monotonic() < end:
    try:
        with socket.create_connection((host, port), 5) as s:
            s.sendall(b"GET /v1/stream HTTP/1.1\\r\\nhost: [::1]\\r\\nupgrade: websocket\\r\\nconnection: upgrade\\r\\n"
                      b"sec-websocket-version: 13\\r\\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n")
            s.recv(1000)
            for _ in range(100):
                s.sendall(flood * 2000)
    except OSError:
        pass
"""


@pytest.mark.parametrize("flood", [PING, FRAGMENT, EMPTY], ids=["pings", "fragments", "empty messages"])
def test_a_healthy_stream_keeps_its_latency_beside_a_flood(server: Running, flood: bytes) -> None:
    """A pose each 33 ms, while another process opens connection after connection and floods each.

    A busy machine delays single answers, a server that is busy with the flood delays most of them.
    """
    host, port = server.place
    took_s = []
    with opened(server) as socket:
        attack = subprocess.Popen(
            [sys.executable, "-c", ATTACK, host, str(port), flood.hex()], stdout=subprocess.PIPE, text=True
        )
        with attack:
            assert attack.stdout is not None
            assert attack.stdout.readline() == "begun\n"
            seq = 0
            while attack.poll() is None:
                begin_s = time.monotonic()
                say(socket, pose(seq, seq / 15, {1: body(seq)}))
                while hear(socket).type != "prediction":
                    pass
                took_s.append(time.monotonic() - begin_s)
                seq += 1
                time.sleep(1 / 30)
        assert attack.returncode == 0
        finish(socket)
    assert len(took_s) > 10
    assert np.median(took_s) < 0.25, sorted(took_s)
    assert max(took_s) < 3, "no flood shuts a healthy stream out"


@pytest.fixture
def brief(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A server that has no patience."""
    monkeypatch.setattr("inkling.service.websocket.transport.UNREAD_S", 0.3)
    monkeypatch.setattr(BoundedConnection, "unread_s", 0.3)
    with running(tiny_settings(bundles)) as server:
        server.core.sockets.start_s = 0.3
        yield server


def test_only_start_counts_before_start(brief: Running) -> None:
    with raw(brief) as socket:
        with contextlib.suppress(OSError):
            for _ in range(100):
                socket.socket.sendall(PING + BEGIN if _ == 0 else PING)
                time.sleep(0.02)  # what the attack is: signs of life
        heard, close = hear_all(socket)
    assert isinstance(heard[-1], ErrorMessage)
    assert (heard[-1].code, close) == ("idle_timeout", 4410)


def test_a_first_message_is_bound_to_less_than_others(server: Running) -> None:
    for parts in ([b"x" * (MAX_FIRST + 1)], [b"x" * 8000] * 9):
        with raw(server) as socket:
            for at, part in enumerate(parts):
                frame = Frame(Opcode.CONT if at else Opcode.TEXT, part, at == len(parts) - 1)
                socket.socket.sendall(frame.serialize(mask=True))
            heard, close = hear_all(socket)
        assert isinstance(heard[-1], ErrorMessage)
        assert (heard[-1].code, close) == ("too_large", 1009)


def test_a_client_that_does_not_read_is_given_up_and_its_pongs_do_not_pile_up(brief: Running) -> None:
    """Its answers are few enough to wait: it is the time that ends it."""
    with connect(brief.stream_url, sock=narrow(brief), compression=None, max_queue=1, ping_interval=None) as socket:
        say(socket, {"type": "start", "bundle": "tiny"})
        (connection,) = brief.server.server_state.connections
        assert isinstance(connection, StreamTransport)
        bad = json.dumps(pose(1, -1.0, {}))
        while connection.writable.is_set():
            say(socket, bad)
        before = connection.transport.get_write_buffer_size()
        for _ in range(100):
            socket.socket.sendall(Frame(Opcode.PING, b"p" * 125).serialize(mask=True))
        wait_until(lambda: not brief.core.hub.streams())
        assert connection.transport.get_write_buffer_size() <= before + 10_000
        assert brief.counts("slow_reader") == 1
        socket.close_timeout = 0
    wait_until(lambda: not brief.server.server_state.connections)


def test_a_follower_that_does_not_read_loses_its_place(brief: Running) -> None:
    with raw(brief) as own:
        say(own, {"type": "start", "bundle": "tiny", "policy": "block"})
        ready = hear(own)
        assert isinstance(ready, Ready)
        places = brief.core.hub
        url = f"{brief.stream_url}s/{ready.stream}/predictions"
        events = httpx.URL(url.replace("ws", "http", 1)).raw_path
        sockets = [narrow(brief) for _ in range(2)]
        sockets[0].sendall(b"GET %b HTTP/1.1\r\nhost: localhost\r\n\r\n" % events)
        with connect(url, sock=sockets[1], compression=None, max_queue=1, ping_interval=None) as follower:
            follower.close_timeout = 0
            wait_until(lambda: places.followers == 2)
            seq = 0
            while places.followers:
                say(own, pose(seq, seq / 15, {1: body(seq)}))
                settled(own, seq)
                seq += 1
        sockets[0].close()
        finish(own)


# -- anything at all ----------------------------------------------------------------------------------------------
def frames() -> st.SearchStrategy[bytes]:
    """Frames, good and bad: any opcode, reserved bits, masked or not, any close code, odd sizes, invalid text."""
    payload = st.one_of(
        st.binary(max_size=140),
        st.sampled_from(
            [b"\xff\xfe", b"{}", b'{"type":"end"}', b'{"type":"start","bundle":"tiny"}', b"\x03\xe8", b"\0"]
        ),
        st.integers(0, 65535).map(lambda code: code.to_bytes(2, "big") + b"bye"),
    )

    def frame(first: int, masked: bool, data: bytes, claims: int) -> bytes:
        size = len(data) if claims < 0 else claims
        head = bytes([first, (0x80 if masked else 0) | (size if size < 126 else 126)])
        head += size.to_bytes(2, "big") if size >= 126 else b""
        return head + (bytes(4) if masked else b"") + data

    first = st.one_of(st.integers(0, 255), st.sampled_from([0x81, 0x82, 0x88, 0x89, 0x8A, 0x01, 0x80, 0xC1]))
    claims = st.one_of(st.just(-1), st.just(-1), st.integers(0, 300))
    return st.builds(frame, first, st.integers(0, 9).map(bool), payload, claims)


HEADS = [
    b"GET /v1/stream HTTP/1.1\r\nhost: [::1]\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    b"POST /v1/stream HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade\r\n" + b"x: y\r\n" * 200 + b"\r\n",
    b"GET /%ff%00/\xe2 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    b"POST /v1/clips?bundle=tiny HTTP/1.1\r\nhost: [::1]\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\nzz\r\n",
    b"POST /v1/clips?bundle=tiny HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{",
    b"POST /v1/clips?bundle=none HTTP/1.1\r\nhost: [::1]\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\nzz\r\n",
    b"POST /v1/sources HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99\r\n\r\n{",
    b"GET /v1/streams/none/predictions HTTP/1.1\r\nhost: localhost\r\n\r\n",
]  # fmt: skip


@settings(max_examples=int(os.environ.get("INKLING_FUZZ", "300")), suppress_health_check=list(HealthCheck))
@given(
    head=st.one_of(st.just(HEADS[0]), st.just(HEADS[0]), st.sampled_from(HEADS)),
    started=st.booleans(),
    sent=st.lists(frames(), max_size=6),
    together=st.booleans(),
    resets=st.booleans(),
)
def test_whatever_is_sent_is_no_failure_of_the_server(
    server: Running, head: bytes, started: bool, sent: list[bytes], together: bool, resets: bool
) -> None:
    failures: list[logging.LogRecord] = []

    class Noted(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            failures.append(record)

    handler = Noted(logging.ERROR)
    logging.getLogger().addHandler(handler)
    before = server.counts("internal")
    start = Frame(Opcode.TEXT, b'{"type":"start","bundle":"tiny"}').serialize(mask=True) if started else b""
    try:
        with tcp.create_connection(server.place, 30) as socket, contextlib.suppress(OSError):
            socket.sendall(head + b"".join([start, *sent]) if together else head)
            if not together:
                socket.settimeout(0.05)
                with contextlib.suppress(TimeoutError):
                    socket.recv(65536)
                socket.sendall(start + b"".join(sent))
            if resets:
                socket.setsockopt(tcp.SOL_SOCKET, tcp.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        server.wait_idle()
    finally:
        logging.getLogger().removeHandler(handler)
    assert [record.getMessage() + str(record.exc_info) for record in failures] == []
    assert server.counts("internal") == before


def test_what_has_come_of_a_message_counts_as_promised_and_goes_with_its_refusal(bundles: Path) -> None:
    message = Frame(Opcode.BINARY, bytes(3 * MIB)).serialize(mask=True)

    def promised(server: Running) -> float:
        name = 'inkling_memory_promised_bytes{kind="images"} '
        lines = httpx.get(f"{server.url}/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(name)).removeprefix(name))

    with running(tiny_settings(bundles, max_promised_bytes=4 * MIB)) as server, opened(server) as socket:
        socket.socket.sendall(message[:MIB])
        wait_until(lambda: promised(server) > MIB / 2)
        assert promised(server) <= MIB
        with contextlib.suppress(OSError):
            socket.socket.sendall(message[MIB:-1])  # more than images may have in all
        heard, close = hear_all(socket)
        assert isinstance(heard[-1], ErrorMessage)
        assert (heard[-1].code, close) == ("over_capacity", 1013)
        assert promised(server) == 0
        server.wait_idle()
