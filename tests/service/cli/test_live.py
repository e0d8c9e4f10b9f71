from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from inkling.service.cli.live import Feed, show
from inkling.service.client.blocking import Client
from inkling.service.protocol.codec import DecisionMessage, PackedPose
from tests.service.client.peer import LABELS, Peer, event, listening, prediction


def play(console: Console, seconds: float, plain: bool) -> tuple[Peer, Feed]:
    peer, feed = Peer(), Feed()
    with listening(peer) as url, Client(url).stream(skeleton="coco17", on_event=feed.event) as stream:
        show(stream, feed, "jumping_jacks", seconds, console, plain)
    return peer, feed


def test_a_pipe_gets_lines_and_the_server_a_moving_body_in_real_time() -> None:
    out = io.StringIO()
    peer, feed = play(Console(file=out), 1.2, plain=False)
    lines = out.getvalue().splitlines()
    assert lines
    begin = "▶   0.1 s  jumping jacks begins"
    assert lines.count(begin) == 1
    assert all((" jumping_jacks -> " in line or line == begin) and "\x1b" not in line for line in lines)
    frames = [message for message in peer.seen if isinstance(message, PackedPose)]
    assert len(frames) == feed.scene.frames
    times = [frame.pts_s for frame in frames if frame.pts_s is not None]
    assert (np.diff(times) > 0).all()
    assert times[-1] > 1.0
    wrists = np.array([frame.keypoints[0, 9, 1] for frame in frames])
    assert np.ptp(wrists) > 150
    assert feed.scene.events == [begin]


def test_a_terminal_gets_a_picture() -> None:
    out = io.StringIO()
    _, feed = play(Console(file=out, force_terminal=True, width=80, height=24), 0.5, plain=False)
    assert "certainty over time" in out.getvalue()
    assert feed.scene.latency_s is not None


def test_plain_gives_lines_on_a_terminal_too() -> None:
    out = io.StringIO()
    play(Console(file=out, force_terminal=True, width=80), 0.7, plain=True)
    assert out.getvalue().count(" jumping_jacks -> ") >= 1
    assert "certainty" not in out.getvalue()


def test_a_new_person_starts_without_a_past_and_late_answers_about_the_last_are_ignored() -> None:
    feed = Feed()
    feed.scene.labels = LABELS
    feed.enter("idle", 1)
    feed.prediction(prediction(0, 0.0, 1, np.full((17, 3), 500.0)), 0.001)
    assert len(feed.scene.history) == 1
    assert feed.scene.history[0] > 0.9
    feed.enter("jumping_jacks", 2)
    assert (feed.scene.history, list(feed.scene.probabilities)) == ([], [])
    feed.prediction(prediction(1, 0.1, 1, np.zeros((17, 3))), 0.001)
    assert feed.scene.history == []
    feed.event(event(3))
    assert feed.scene.events == ["▶   0.1 s  jumping jacks begins"]


def test_a_decision_is_told_with_what_it_promises() -> None:
    feed = Feed()
    feed.decision(
        DecisionMessage(
            seq=3, pts_s=0.4, track=1, label="jump_rope", probability=0.97, elapsed_s=0.4, error_rate=0.05, epoch=0,
            first=True,
        )
    )  # fmt: skip
    assert feed.scene.events == ["✔   0.4 s  jump rope decided, ≤ 5% wrong"]
