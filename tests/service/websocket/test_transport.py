"""The fast path: order, turns and bytes, over real sockets."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import Any

import numpy as np
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
    say,
)


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
