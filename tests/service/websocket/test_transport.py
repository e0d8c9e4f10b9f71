"""Our changes to uvicorn's WebSocket transport that no other test meets. (Limits and slow readers: test_bad_input.)"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket as tcp
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import connect

from inkling.service.protocol.codec import Flushed, Prediction, Ready, Summary, decode_reply
from inkling.service.protocol.pose_binary import pack_pose
from inkling.service.websocket.transport import StreamTransport
from tests.service.conftest import (
    Running,
    body,
    finish,
    hear,
    hear_all,
    opened,
    play,
    pose,
    raw,
    running,
    say,
    tiny_settings,
    wait_until,
)


def test_a_client_that_closes_but_does_not_read_is_gone_after_the_linger_time(
    bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inkling.service.websocket.transport.LINGER_S", 0.2)
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
    assert server.counts("bad_message") == before, "the messages after it were not decoded"


def masked(payload: str | bytes, fin: bool = True) -> bytes:
    opcode = Opcode.TEXT if isinstance(payload, str) else Opcode.BINARY
    return Frame(opcode, payload.encode() if isinstance(payload, str) else payload, fin).serialize(mask=True)


def test_messages_in_pieces_fragments_and_bursts_are_taken_in_order(server: Running) -> None:
    frames = [pack_pose(seq, [1], np.array([body(seq)]), seq / 15) for seq in range(300)]
    burst = b"".join(masked(frame) for frame in frames)
    first = Frame(Opcode.TEXT, b'{"type":"flu', False).serialize(mask=True)
    second = Frame(Opcode.CONT, b'sh","id":7}').serialize(mask=True)
    with opened(server, policy="block") as socket:
        heard: list[object] = []
        reader = threading.Thread(target=lambda: heard.extend(hear_all(socket)[0]))
        reader.start()
        for at in range(0, len(burst), 1000):  # frames begin and end anywhere in a packet
            socket.socket.sendall(burst[at : at + 1000])
        socket.socket.sendall(first + Frame(Opcode.PING, b"between").serialize(mask=True) + second)
        socket.socket.sendall(masked('{"type":"end"}'))
        reader.join()
    kinds = [type(message) for message in heard]
    assert [m.seq for m in heard if isinstance(m, Prediction)] == list(range(300))
    assert kinds[-2:] == [Flushed, Summary]


def test_frames_sent_together_with_the_start_are_not_lost(server: Running) -> None:
    start = json.dumps({"type": "start", "bundle": "tiny", "policy": "block"})
    poses = [masked(json.dumps(pose(seq, seq / 15, {1: body(seq)}))) for seq in range(100)]
    with raw(server) as socket:
        socket.socket.sendall(b"".join([masked(start), *poses, masked('{"type":"end"}')]))
        heard, close = hear_all(socket)
    assert close == 1000
    assert isinstance(heard[0], Ready)
    assert [m.seq for m in heard if isinstance(m, Prediction)] == list(range(100))


def test_packed_results_are_those_of_json(server: Running) -> None:
    frames = [(seq / 15, {1: np.array(body(seq), np.float32)}) for seq in range(40)]
    plain = play(server, frames)
    with opened(server, policy="block", results="packed") as socket:
        heard: list[bytes | str] = []

        def listen() -> None:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    heard.append(socket.recv())

        reader = threading.Thread(target=listen)
        reader.start()
        for seq, (pts_s, people) in enumerate(frames):
            say(socket, pose(seq, pts_s, people))
        say(socket, {"type": "end"})
        reader.join()
    got = [decode_reply(data, ("a", "b", "c")) for data in heard]
    predictions = [message for message in got if isinstance(message, Prediction)]
    assert all(isinstance(data, bytes) for data, message in zip(heard, got, strict=True) if message in predictions)
    assert [m.seq for m in predictions] == list(range(40))
    np.testing.assert_allclose([m.probabilities for m in predictions], [p.probabilities for p in plain], atol=2e-6)
    assert isinstance(got[-1], Summary)


def test_a_follower_of_a_stream_with_packed_results_hears_the_same_predictions(server: Running) -> None:
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": "tiny", "policy": "block", "results": "packed"})
        ready = hear(socket)
        assert isinstance(ready, Ready)
        url = f"{server.stream_url}s/{ready.stream}/predictions"
        with connect(url, compression=None) as follower:
            assert isinstance(hear(follower), Ready)
            for seq in range(5):
                say(socket, pose(seq, seq / 15, {1: body(seq)}))
            own = [decode_reply(socket.recv(10), ready.labels) for _ in range(5)]
            assert [hear(follower) for _ in range(5)] == own
        say(socket, {"type": "end"})
        hear_all(socket)
    server.wait_idle()


def test_a_fast_sender_leaves_others_their_turn_and_is_told_what_was_dropped(server: Running) -> None:
    """A burst of thousands of frames at once, and in the midst of it one frame of somebody else."""
    burst = b"".join(masked(pack_pose(seq, [1], np.array([body(seq % 7)]), seq / 15)) for seq in range(5000))
    with opened(server) as greedy, opened(server) as modest:
        sender = threading.Thread(target=greedy.socket.sendall, args=(burst,))
        sender.start()
        say(modest, pose(0, 0.0, {1: body()}))
        assert isinstance(hear(modest), Prediction)
        sender.join()
        heard, summary = finish(greedy)
        finish(modest)
    told = [message for message in heard if isinstance(message, Prediction)]
    assert summary.received == 5000 == summary.stepped + summary.dropped
    assert told[-1].seq == 4999
    assert told[-1].dropped == summary.dropped > 0


def test_two_frames_of_one_turn_leave_in_one_piece(server: Running) -> None:
    with opened(server) as socket:
        (connection,) = server.server.server_state.connections
        assert isinstance(connection, StreamTransport)
        pieces: list[bytes] = []
        write = connection.transport.write

        class Tapped:
            def write(self, data: bytes) -> None:
                pieces.append(data)
                write(data)

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        real = connection.transport
        connection.transport = Tapped()  # type: ignore[assignment]
        flushes = [masked(json.dumps({"type": "flush", "id": number})) for number in range(3)]
        socket.socket.sendall(b"".join(flushes))
        assert [hear(socket) for _ in range(3)] == [Flushed(id=number) for number in range(3)]
        assert len(pieces) == 1
        connection.transport = real
        finish(socket)
