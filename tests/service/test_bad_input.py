"""What clients and bundles do wrong: each gets its typed error, and the stream beside it never notices.

Every test runs its mischief inside `with beside(...)`: a well-behaved stream that goes on meanwhile, and whose results
must afterwards be those of its solo run.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket as tcp
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import onnx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.sync.client import ClientConnection, connect

from inkling.models.bundle.schema import STEP_FILE
from inkling.models.errors import BundleCorrupt, BundleInvalid, BundleUnsupported
from inkling.service.bootstrap import build
from inkling.service.protocol.codec import ErrorMessage, Outgoing, Prediction, Ready
from inkling.service.protocol.pose_binary import pack_pose
from tests.service.conftest import (
    WAIT_S,
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
from tests.support import edit_spec, make_bundle, replace_file

Beside = Callable[..., Bystander]

START = {"type": "start", "bundle": "tiny"}


@pytest.fixture(autouse=True)
def alive_and_clean(server: Running) -> Iterator[None]:
    """After every test the shared server is up, nothing is left open, and no slot is taken."""
    yield
    server.wait_idle()
    assert httpx.get(f"{server.url}/livez").status_code == 200
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    (stats,) = server.core.hub.stats()
    assert (stats.streams, stats.tracks, stats.slots_used) == (0, 0, 0)


def only_error(messages: list[Outgoing]) -> ErrorMessage:
    (error,) = [message for message in messages if isinstance(message, ErrorMessage)]
    return error


def refusal(server: Running, *messages: Any) -> tuple[str, int]:
    """Code of the one error, and the close code, of a connection on which these messages are sent."""
    with raw(server) as socket:
        for message in messages:
            say(socket, message)
        heard, close = hear_all(socket)
    assert isinstance(heard[-1], ErrorMessage), "the error is the last word"
    return only_error(heard).code, close


# -- messages that end the stream ---------------------------------------------------------------------------------
BAD_MESSAGES = {
    "nothing": "",
    "half a message": '{"type": "pose", "seq": 0',
    "no object": "[1, 2, 3]",
    "a word": "hello",
    "no type": '{"bundle": "tiny"}',
    "an unknown type": '{"type": "dance"}',
    "an unknown field": '{"type": "flush", "id": 1, "colour": "red"}',
    "a field of the wrong type": '{"type": "flush", "id": "one"}',
    "a number beyond all bounds": '{"type": "flush", "id": 1' + "0" * 5000 + "}",
    "depth": '{"type": "pose", "seq": ' + "[" * 50_000,
    "a negative seq": '{"type": "pose", "seq": -1, "people": []}',
    "keypoints that are text": '{"type": "pose", "seq": 0, "people": [{"track": 1, "keypoints": "left hand"}]}',
    "empty binary": b"",
    "binary garbage": bytes(range(256)) * 10,
    "a packed pose cut short": pack_pose(0, [1], np.zeros((1, 13, 3)), 0.0)[:-1],
    "a packed pose that promises more": pack_pose(0, [1], np.zeros((1, 13, 3)), 0.0)[:6] + b"\xff" * 30,
    "an unknown kind of binary": b"INKL\x01\x09" + bytes(100),
    "a picture": b"\xff\xd8\xff\xe0" + bytes(1000),
}


@pytest.mark.parametrize("message", BAD_MESSAGES.values(), ids=BAD_MESSAGES)
def test_what_is_no_message_ends_the_stream_with_bad_message(
    server: Running, beside: Beside, message: str | bytes
) -> None:
    with beside():
        assert refusal(server, START, message) == ("bad_message", 4400)
        assert refusal(server, message) == ("bad_message", 4400)


@pytest.mark.parametrize("message", [pose(0, 0.0, {}), {"type": "end"}, {"type": "reset"}, {"type": "flush", "id": 0}])
def test_anything_before_start_is_out_of_order(server: Running, beside: Beside, message: dict[str, Any]) -> None:
    with beside():
        assert refusal(server, message) == ("out_of_order", 4409)


def test_a_bad_pose_before_start_is_out_of_order_too(server: Running, beside: Beside) -> None:
    with beside():
        assert refusal(server, pose(0, -5.0, {1: body()})) == ("out_of_order", 4409)


def test_a_second_start_is_out_of_order(server: Running, beside: Beside) -> None:
    with beside():
        assert refusal(server, START, START) == ("out_of_order", 4409)


def test_anything_after_end_is_out_of_order(server: Running, beside: Beside) -> None:
    many = [pose(seq, seq / 15, {t: body() for t in range(8)}) for seq in range(8)]
    with beside(), opened(server) as socket:
        # In one piece, so that what follows the end is there before the end can be answered.
        texts = [json.dumps(message).encode() for message in [*many, {"type": "end"}, many[0]]]
        socket.socket.sendall(b"".join(Frame(Opcode.TEXT, text).serialize(mask=True) for text in texts))
        heard, close = hear_all(socket)
    assert (only_error(heard).code, close) == ("out_of_order", 4409)


@pytest.mark.parametrize(
    ("start", "code", "close"),
    [
        ({"bundle": "nothing"}, "unknown_bundle", 4404),
        ({"version": "99"}, "unknown_bundle", 4404),
        ({"bundle": "../../etc/passwd"}, "unknown_bundle", 4404),
        ({"skeleton": "octopus"}, "unsupported_input", 4415),
        ({"skeleton": "kinect25"}, "unsupported_input", 4415),
        ({"input": "frame"}, "unsupported_input", 4415),
        ({"policy": "hope"}, "bad_message", 4400),
        ({"top_k": 0}, "bad_message", 4400),
        ({"width": -3}, "bad_message", 4400),
    ],
)
def test_a_start_that_cannot_be_served_says_why(
    server: Running, beside: Beside, start: dict[str, Any], code: str, close: int
) -> None:
    with beside():
        assert refusal(server, START | start) == (code, close)


# -- frames that are refused while the stream goes on -------------------------------------------------------------
def with_value(value: str) -> str:
    keypoints: list[list[Any]] = [*body()[:12], [1.0, "VALUE", 1.0]]
    return json.dumps(pose(1, 0.1, {1: keypoints})).replace('"VALUE"', value)


def packed(value: float) -> bytes:
    keypoints = np.ones((1, 13, 3))
    keypoints[0, 5, 1] = value
    return pack_pose(1, [1], keypoints, 0.1)


BAD_FRAMES: dict[str, tuple[Any, str]] = {
    "twelve joints": (pose(1, 0.1, {1: body()[:12]}), "bad_pose"),
    "fourteen joints": (pose(1, 0.1, {1: [*body(), [0, 0, 0]]}), "bad_pose"),
    "no joints": (pose(1, 0.1, {1: []}), "bad_pose"),
    "five numbers a joint": (pose(1, 0.1, {1: [[1, 2, 3, 4, 5]] * 13}), "bad_pose"),
    "one number a joint": (pose(1, 0.1, {1: [[1]] * 13}), "bad_pose"),
    "joints of unequal lengths": (pose(1, 0.1, {1: [[1, 2, 1]] * 12 + [[1, 2]]}), "bad_pose"),
    "people of unequal lengths": (pose(1, 0.1, {1: body(), 2: body()[:5]}), "bad_pose"),
    "a track twice": ({**pose(1, 0.1, {}), "people": [{"track": 1, "keypoints": body()}] * 2}, "bad_pose"),
    "not a number": (with_value("NaN"), "bad_pose"),
    "infinity": (with_value("Infinity"), "bad_pose"),
    "minus infinity": (with_value("-Infinity"), "bad_pose"),
    "1e30": (with_value("1e30"), "bad_pose"),
    "-1e30": (with_value("-1e30"), "bad_pose"),
    "1e400": (with_value("1e400"), "bad_pose"),
    "packed not a number": (packed(np.nan), "bad_pose"),
    "packed infinity": (packed(np.inf), "bad_pose"),
    "packed 1e30": (packed(1e30), "bad_pose"),
    "packed twelve joints": (pack_pose(1, [1], np.ones((1, 12, 3)), 0.1), "bad_pose"),
    "negative time": (pose(1, -0.5, {1: body()}), "bad_time"),
    "time is not a number": (json.dumps(pose(1, 7777.5, {1: body()})).replace("7777.5", "NaN"), "bad_time"),
    "packed negative time": (pack_pose(1, [1], np.ones((1, 13, 3)), -1.0), "bad_time"),
    "packed endless time": (pack_pose(1, [1], np.ones((1, 13, 3)), np.inf), "bad_time"),
    "a hundred people": (pose(1, 0.1, {track: body() for track in range(100)}), "too_many_people"),
    "packed thousands of people": (pack_pose(1, range(5000), np.ones((5000, 13, 3)), 0.1), "too_many_people"),
}


@pytest.mark.parametrize(("message", "code"), BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_a_bad_frame_is_refused_and_the_stream_goes_on_as_if_it_had_not_been(
    server: Running, beside: Beside, message: Any, code: str
) -> None:
    with beside():
        with opened(server) as socket:
            say(socket, pose(0, 0.0, {1: body()}))
            say(socket, message)
            say(socket, pose(2, 1 / 15, {1: body(5)}))
            heard = settled(socket)
            _, summary = finish(socket)
        with opened(server) as socket:
            say(socket, pose(0, 0.0, {1: body()}))
            say(socket, pose(2, 1 / 15, {1: body(5)}))
            expected = [m.probabilities for m in settled(socket) if isinstance(m, Prediction)]
            finish(socket)
    error = only_error(heard)
    assert error.code == code
    if "[" not in error.message:  # a message that names no list of lengths
        assert len(error.message) < 200, "the message does not echo the input"
    got = [m.probabilities for m in heard if isinstance(m, Prediction)]
    np.testing.assert_allclose(got, expected, atol=2e-6)
    assert (summary.received, summary.refused, summary.stepped) == (3, 1, 2)


def test_a_frame_without_time_is_stamped_on_arrival(server: Running, beside: Beside) -> None:
    with beside(), opened(server) as socket:
        say(socket, pose(0, None, {1: body()}))
        (prediction,) = (m for m in settled(socket) if isinstance(m, Prediction))
        finish(socket)
    assert 0 <= prediction.pts_s < WAIT_S


def test_a_repeated_time_is_skipped_and_a_backward_jump_resets_with_its_reason(server: Running, beside: Beside) -> None:
    with beside(), opened(server) as socket:
        for seq, pts_s in enumerate([5.0, 5.0, 5 + 1 / 15, 2.0, 2 + 1 / 15]):
            say(socket, pose(seq, pts_s, {1: body(seq)}))
        got = [m for m in settled(socket) if isinstance(m, Prediction)]
        _, summary = finish(socket)
    assert [(p.seq, p.epoch, p.reset) for p in got] == [
        (0, 0, None), (2, 0, None), (3, 1, "backward"), (4, 1, None),
    ]  # fmt: skip
    assert (summary.skipped, summary.resets.get("backward")) == (1, 1)


def test_a_seq_that_goes_backward_is_only_echoed(server: Running, beside: Beside) -> None:
    with beside(), opened(server) as socket:
        for i, seq in enumerate([5, 3, 3, 2**53 - 1]):
            say(socket, pose(seq, i / 15, {1: body(i)}))
        got = [m.seq for m in settled(socket) if isinstance(m, Prediction)]
        finish(socket)
    assert got == [5, 3, 3, 2**53 - 1]


def cut_short() -> contextlib.suppress:
    """Sending may fail: the refusal overtakes it."""
    return contextlib.suppress(ConnectionClosed, OSError)


# -- size and number ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["text", "binary"])
@pytest.mark.parametrize("started", [True, False])
def test_a_message_of_100_mb_is_too_large(server: Running, beside: Beside, kind: str, started: bool) -> None:
    huge: str | bytes = " " * 100_000_000 if kind == "text" else bytes(100_000_000)
    with beside(), raw(server) as socket:
        if started:
            say(socket, START)
            assert hear(socket).type == "ready"
        with cut_short():
            say(socket, huge)
        heard, close = hear_all(socket)
    assert (only_error(heard).code, close) == ("too_large", 1009)


def test_a_message_in_endless_fragments_is_too_large(server: Running, beside: Beside) -> None:
    def fragments() -> Iterator[str]:
        while True:
            yield " " * 65536

    with beside(), opened(server) as socket:
        with cut_short():
            socket.send(fragments())
        heard, close = hear_all(socket)
    assert (only_error(heard).code, close) == ("too_large", 1009)


def test_streams_over_capacity_are_refused_at_once_and_those_within_go_on(bundles: Path, beside: Beside) -> None:
    with (
        running(tiny_settings(bundles, max_streams=3)) as server,
        beside(server),
        opened(server) as first,
        opened(server) as second,
    ):
        for _ in range(5):
            with raw(server) as socket:
                say(socket, START)
                heard, close = hear_all(socket)
            assert (only_error(heard).code, close) == ("over_capacity", 1013)
            assert only_error(heard).retryable
        assert server.counts("over_capacity") == 5
        clip = httpx.post(f"{server.url}/v1/clips?bundle=tiny", content=b'{"fps":1,"people":[{"track":1,"keypoints":[[[1,1,1]]]}]}')  # fmt: skip # noqa: E501
        assert (clip.status_code, clip.json()["code"], clip.headers["retry-after"]) == (503, "over_capacity", "1")
        finish(first)
        wait_until(lambda: len(server.core.hub.streams()) == 2)
        with opened(server) as socket:
            finish(socket)
        finish(second)


def test_people_beyond_the_slots_are_not_watched_and_the_others_are(bundles: Path, beside: Beside) -> None:
    with running(tiny_settings(bundles, slots=4)) as server, beside(server), opened(server) as socket:
        for seq in range(3):
            say(socket, pose(seq, seq / 15, {track: body(track) for track in range(1, 6)}))
        heard = settled(socket)
        finish(socket)
    errors = [m.code for m in heard if isinstance(m, ErrorMessage)]
    assert errors == ["no_slot", "no_slot"], "one for each person without a slot, once"
    watched = [(m.seq, m.track) for m in heard if isinstance(m, Prediction)]
    assert watched == [(seq, track) for seq in range(3) for track in (1, 2, 3)]


# -- clients that misbehave on the wire ---------------------------------------------------------------------------
def test_text_that_is_not_utf8_is_refused(server: Running, beside: Beside) -> None:
    with beside(), opened(server) as socket:
        socket.socket.sendall(Frame(Opcode.TEXT, b"\xff\xfe{}").serialize(mask=True))
        heard, close = hear_all(socket)
    assert (only_error(heard).code, close) == ("bad_message", 1007)


def test_bytes_that_are_no_websocket_frame_are_refused(server: Running, beside: Beside) -> None:
    with beside(), opened(server) as socket:
        socket.socket.sendall(b"\xff" * 64)
        heard, close = hear_all(socket)
    assert (only_error(heard).code, close) == ("bad_message", 1002)


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00" * 1000,
        b"GET / HTTP/1.1\r\n",
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    ],
)
def test_garbage_on_the_port_disturbs_nobody(server: Running, beside: Beside, garbage: bytes) -> None:
    with beside(), tcp.create_connection(server.place) as connection:
        connection.sendall(garbage)
        connection.shutdown(tcp.SHUT_WR)
        connection.settimeout(WAIT_S)
        while connection.recv(4096):
            pass


@contextlib.contextmanager
def narrow_connection(server: Running) -> Iterator[ClientConnection]:
    """A client that buffers next to nothing."""
    with connect(
        server.stream_url, sock=narrow(server), compression=None, ping_interval=None, max_queue=1, close_timeout=0.5
    ) as socket:
        yield socket


def test_a_client_that_never_reads_is_cut_off_as_a_slow_reader(bundles: Path, beside: Beside) -> None:
    with running(tiny_settings(bundles, outbox=64)) as server, beside(server), narrow_connection(server) as socket:
        say(socket, START)
        assert isinstance(hear(socket), Ready)
        bad = json.dumps(pose(1, -1.0, {}))
        stop = threading.Event()

        def flood() -> None:
            with cut_short():
                while not stop.is_set():
                    socket.send(bad)

        sender = threading.Thread(target=flood)
        sender.start()
        wait_until(lambda: server.counts("slow_reader") == 1)
        stop.set()
        assert len(server.core.hub.streams()) == 1, "only the bystander's is left"
        # Whoever reads at last is still told why, and nothing is asked of it before it may go.
        heard, close = hear_all(socket)
        assert isinstance(heard[-1], ErrorMessage)
        assert (heard[-1].code, close) == ("slow_reader", 4408)
        sender.join(WAIT_S)


def test_a_slow_reader_that_stays_away_is_disconnected(
    bundles: Path, beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inkling.service.websocket.uvicorn_repairs.LINGER_S", 0.2)
    bad = json.dumps(pose(1, -1.0, {}))
    with (
        running(tiny_settings(bundles, outbox=64)) as server,
        beside(server),
        narrow_connection(server) as socket,
        cut_short(),
    ):
        say(socket, START)
        for _ in range(1_000_000):
            socket.send(bad)
        pytest.fail("the server took a million messages and cut nobody off")


def test_a_client_that_vanishes_in_the_middle_of_a_frame_leaves_nothing_behind(server: Running, beside: Beside) -> None:
    with beside():
        for how in ("reset", "eof"):
            with opened(server) as socket:
                say(socket, pose(0, 0.0, {1: body(), 2: body(1)}))
                whole = Frame(Opcode.TEXT, json.dumps(pose(1, 0.1, {1: body()})).encode()).serialize(mask=True)
                socket.socket.sendall(whole[: len(whole) // 2])
                wait_until(lambda: any(info.counts.received for info in server.core.hub.streams() if info.tracks == 2))
                if how == "reset":
                    socket.socket.setsockopt(tcp.SOL_SOCKET, tcp.SO_LINGER, struct.pack("ii", 1, 0))
                    socket.socket.close()
                else:
                    socket.socket.shutdown(tcp.SHUT_RDWR)
            wait_until(lambda: len(server.core.hub.streams()) == 1)


def test_a_client_that_leaves_with_frames_waiting_leaves_nothing_behind(server: Running, beside: Beside) -> None:
    with beside():
        for _ in range(20):
            with opened(server, policy="block") as socket:
                for seq in range(50):
                    say(socket, pose(seq, seq / 15, {track: body(track) for track in range(10)}))
                socket.socket.close()
        wait_until(lambda: len(server.core.hub.streams()) == 1)


def test_a_silent_client_is_told_of_the_time_limit(bundles: Path, beside: Beside) -> None:
    with running(tiny_settings(bundles, idle_timeout_s=0.5)) as server, beside(server):
        with opened(server) as socket:
            heard, close = hear_all(socket)
        assert (only_error(heard).code, close) == ("idle_timeout", 4410)
        with raw(server) as socket:
            heard, close = hear_all(socket)
        assert (only_error(heard).code, close) == ("idle_timeout", 4410)


def test_a_flood_of_every_kind_of_message_at_once_disturbs_nobody(server: Running, beside: Beside) -> None:
    rng = np.random.default_rng(0)
    pieces: list[Any] = [*BAD_MESSAGES.values(), *(message for message, _ in BAD_FRAMES.values())]

    def client(seed: int) -> None:
        with cut_short(), opened(server) as socket:
            for index in np.random.default_rng(seed).permutation(len(pieces)):
                say(socket, pieces[index])
            hear_all(socket)

    with beside():
        threads = [threading.Thread(target=client, args=(int(seed),)) for seed in rng.integers(0, 1000, 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)


# -- clips and bundles --------------------------------------------------------------------------------------------
class Trap:
    """Unpickling it would leave a mark in the environment."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.putenv, ("INKLING_TRAP", "sprung"))


def test_a_clip_with_an_object_array_inside_is_refused_and_not_unpickled(server: Running, beside: Beside) -> None:
    file = io.BytesIO()
    np.savez(file, keypoints=np.array([[[Trap()]]], dtype=object))
    assert b"INKLING_TRAP" in file.getvalue()
    with beside():
        answer = httpx.post(f"{server.url}/v1/clips?bundle=tiny&fps=15", content=file.getvalue())
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_clip")
    assert b"INKLING_TRAP" not in Path("/proc/self/environ").read_bytes()
    assert "never unpacked" in answer.json()["message"]


def flip_a_byte(bundle: Path) -> None:
    step = bytearray((bundle / STEP_FILE).read_bytes())
    step[len(step) // 2] ^= 1
    (bundle / STEP_FILE).write_bytes(step)


def lose_a_state(bundle: Path) -> None:
    spec = json.loads((bundle / "bundle.json").read_text())
    lost = {"input": "c", "output": "c_next", "shape": [8], "dtype": "float32", "initial": 0.0}
    edit_spec(bundle, state=[*spec["state"], lost])


def use_a_wrong_opset(bundle: Path) -> None:
    model = onnx.load_from_string((bundle / STEP_FILE).read_bytes())
    model.opset_import[0].version = 9
    replace_file(bundle, STEP_FILE, model.SerializeToString())
    edit_spec(bundle, opset=9)


BROKEN = {
    "a flipped byte": (flip_a_byte, BundleCorrupt, "sha256 differs"),
    "a missing state": (lose_a_state, BundleInvalid, "'c'"),
    "a wrong opset": (use_a_wrong_opset, BundleUnsupported, "opset 9"),
}


@pytest.mark.parametrize(("damage", "error", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_bundle_is_left_out_and_the_good_one_beside_it_served(
    tmp_path: Path, beside: Beside, damage: Callable[[Path], None], error: type[Exception], says: str
) -> None:
    make_bundle(tmp_path, background="c", decision={"on": 0.5, "off": 0.4, "min_steps": 2})
    damage(make_bundle(tmp_path, name="broken"))
    with pytest.raises(error, match=says):
        build(tiny_settings(tmp_path, load=("tiny", "broken")))
    with running(tiny_settings(tmp_path, load=())) as server, beside(server):
        names = [bundle["name"] for bundle in httpx.get(f"{server.url}/v1/bundles").json()]
        assert "tiny" in names
        assert "broken" not in names
        assert refusal(server, START | {"bundle": "broken"}) == ("unknown_bundle", 4404)
        shown = f'inkling_bundle_broken{{bundle="broken/1",error="{error.__name__}"}} 1.0'
        assert shown in httpx.get(f"{server.url}/metrics").text
