"""The WebSocket shell on a real server: order, credits, back-pressure, fairness, ends."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.client import connect

from inkling.service.protocol.codec import Credit, ErrorMessage, Flushed, Prediction, Ready, Summary
from inkling.service.protocol.pose_binary import pack_pose
from inkling.service.streams.in_flight import PersonStep
from inkling.service.streams.session import Session
from tests.service.conftest import (
    Running,
    body,
    finish,
    hear,
    hear_all,
    opened,
    pose,
    raw,
    running,
    say,
    settled,
    tiny_settings,
)
from tests.support import poses


def test_ready_says_what_the_stream_runs_on(server: Running) -> None:
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": "tiny"})
        ready = hear(socket)
        finish(socket)
    assert isinstance(ready, Ready)
    assert (ready.bundle, ready.version, ready.labels, ready.rate_hz) == ("tiny", "1", ("a", "b", "c"), 15.0)
    assert ready.credits == server.core.settings.limits.inbox


def test_a_flush_is_answered_after_everything_before_it_and_before_anything_after_it(server: Running) -> None:
    with opened(server, policy="block") as socket:
        for seq in range(6):
            say(socket, pose(seq, seq / 15, {1: body(seq)}))
            say(socket, {"type": "flush", "id": seq})
        heard, summary = finish(socket)
    order = [m.seq if isinstance(m, Prediction) else -m.id - 1 for m in heard if isinstance(m, (Prediction, Flushed))]
    assert order == [0, -1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6]
    assert (summary.received, summary.stepped, summary.tracks) == (6, 6, 1)


def test_packed_poses_give_the_results_of_json(server: Running) -> None:
    frames = poses(20, 1, seed=8)[:, 0]
    with opened(server, policy="block") as json_socket, opened(server, policy="block") as packed_socket:
        for seq, frame in enumerate(frames):
            say(json_socket, pose(seq, seq / 15, {4: frame}))
            say(packed_socket, pack_pose(seq, [4], frame[np.newaxis], seq / 15))
        of_json = [m.probabilities for m in settled(json_socket) if isinstance(m, Prediction)]
        of_packed = [m.probabilities for m in settled(packed_socket) if isinstance(m, Prediction)]
        finish(json_socket)
        finish(packed_socket)
    assert len(of_json) == 20
    np.testing.assert_allclose(of_json, of_packed, atol=2e-6)


def test_policy_block_loses_nothing_however_fast_the_client_sends(server: Running) -> None:
    with opened(server, policy="block") as socket:
        heard: list[object] = []
        reader = threading.Thread(target=lambda: heard.extend(hear_all(socket)[0]))
        reader.start()
        for seq in range(500):
            say(socket, pose(seq, seq / 15, {1: body(seq % 7)}))
        say(socket, {"type": "end"})
        reader.join()
    summary = heard[-1]
    assert isinstance(summary, Summary)
    assert (summary.stepped, summary.dropped) == (500, 0)
    assert [m.seq for m in heard if isinstance(m, Prediction)] == list(range(500))


def test_skipped_frames_are_credited_before_the_client_runs_out(server: Running) -> None:
    credits = server.core.settings.limits.inbox
    with opened(server) as socket:
        say(socket, pose(0, 0.0, {1: body()}))
        assert isinstance(hear(socket), (Prediction))
        for seq in range(1, credits + 1):  # all within one tick
            say(socket, pose(seq, seq * 1e-4, {1: body()}))
        message = hear(socket)
        finish(socket)
    assert isinstance(message, Credit)
    assert 0 < message.seq <= credits


def test_a_burst_of_small_messages_is_no_slow_reader(bundles: Path) -> None:
    """The reader gives the writer its turn: whoever reads is not cut off, however much it asks for at once."""
    with running(tiny_settings(bundles, outbox=8)) as server, opened(server) as socket:
        counted = [0]

        def count() -> None:
            while counted[0] < 5000:
                hear(socket)
                counted[0] += 1

        reader = threading.Thread(target=count)
        reader.start()
        for number in range(5000):
            say(socket, {"type": "flush", "id": number})
        reader.join()
        assert counted == [5000]
        finish(socket)


def test_a_client_may_close_whenever_it_likes(server: Running) -> None:
    with opened(server) as socket:
        say(socket, pose(0, 0.0, {1: body()}))
        socket.close(1001)
    server.wait_idle()


def test_what_was_asked_before_a_fatal_message_is_still_sent(server: Running) -> None:
    with opened(server) as socket:
        for number in range(100):
            say(socket, {"type": "flush", "id": number})
        say(socket, "nonsense")
        heard, close = hear_all(socket)
    assert [m.id for m in heard if isinstance(m, Flushed)] == list(range(100))
    assert isinstance(heard[-1], ErrorMessage)
    assert (heard[-1].code, close) == ("bad_message", 4400)


def test_a_defect_ends_its_stream_with_internal_and_no_details(
    server: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def defect(data: object, max_text: int) -> None:
        raise RuntimeError("secret")

    with opened(server) as socket:
        monkeypatch.setattr("inkling.service.websocket.connection.decode", defect)
        say(socket, pose(0, 0.0, {1: body()}))
        heard, close = hear_all(socket)
    assert [m.code for m in heard if isinstance(m, ErrorMessage)] == ["internal"]
    assert close == 1011
    assert "secret" not in str(heard)
    assert "secret" in caplog.text
    monkeypatch.undo()
    server.wait_idle()


def test_a_defect_while_answering_ends_its_stream_with_internal_and_no_other(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    step_done = Session.step_done

    def defect(session: Session, step: PersonStep, now_s: float) -> None:
        if step.track.id == 13:
            raise RuntimeError("secret")
        step_done(session, step, now_s)

    monkeypatch.setattr(Session, "step_done", defect)
    with opened(server) as broken, opened(server) as other:
        say(broken, pose(0, 0.0, {13: body()}))
        heard, close = hear_all(broken)
        say(other, pose(0, 0.0, {1: body()}))
        _, summary = finish(other)
    assert [m.code for m in heard if isinstance(m, ErrorMessage)] == ["internal"]
    assert close == 1011
    assert summary.stepped == 1
    server.wait_idle()


def test_deflate_is_not_agreed_on(server: Running) -> None:
    with connect(server.stream_url) as socket:  # which offers it
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
