from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.server import ServerConnection

from inkling.client import ClientError, RemoteError, Unreachable
from inkling.service.cli.client_verbs import register
from inkling.service.protocol.codec import (
    DecisionMessage,
    Event,
    PackedPose,
    Prediction,
    Start,
    Summary,
    decode_reply,
    error_message,
)
from inkling.service.protocol.errors import NoSlot
from tests.service.client.peer import Peer, answering, listening, say


def run(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers(required=True))
    args = parser.parse_args(argv)
    code: int = args.run(args)
    return code


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.npz"
    np.savez(path, keypoints=np.ones((12, 17, 3), np.float32), pts_s=np.arange(12) / 100)
    return path


@pytest.mark.parametrize("fast", [True, False])
def test_stream_plays_a_file_and_prints_a_line_a_prediction(
    clip: Path, capsys: pytest.CaptureFixture[str], fast: bool
) -> None:
    peer = Peer(credits=3)
    with listening(peer) as url:
        assert run("stream", str(clip), "--url", url, *(["--fast"] if fast else [])) == 0
    out, err = capsys.readouterr()
    predictions = [line for line in out.splitlines() if " begins " not in line]
    assert len(predictions) == 12
    assert len(out.splitlines()) == 13, "and the event"
    assert predictions[1].split()[:4] == ["0.01", "s", "track", "1"]
    assert "12 frames: 12 stepped" in err
    start = peer.seen[0]
    assert isinstance(start, Start)
    assert (start.skeleton, start.policy) == ("coco17", "block" if fast else "drop_oldest")
    assert [message.pts_s for message in peer.seen if isinstance(message, PackedPose)] == list(np.arange(12) / 100)


def test_stream_prints_the_protocols_messages_as_json(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with listening(Peer()) as url:
        run("stream", str(clip), "--url", url, "--fast", "--json", "--skeleton", "mine")
    messages = [decode_reply(line) for line in capsys.readouterr().out.splitlines()]
    assert [type(message) for message in messages if not isinstance(message, Event)] == [Prediction] * 12 + [Summary]
    assert sum(isinstance(message, Event) for message in messages) == 1


def test_stream_goes_on_after_a_refusal_and_says_it(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Full(Peer):
        def answer(self, socket: ServerConnection, message: object) -> bool:
            if isinstance(message, PackedPose) and message.seq == 5:
                say(socket, error_message(NoSlot("no room"), message.seq))
                return True
            return super().answer(socket, message)

    with listening(Full()) as url:
        assert run("stream", str(clip), "--url", url, "--fast") == 0
    out, err = capsys.readouterr()
    assert len([line for line in out.splitlines() if " begins " not in line]) == 11
    assert "inkling: no room (no_slot)" in err


def test_score_prints_what_was_when(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shares = [(0.0, 1, 0.9), (0.1, 1, 0.7), (0.2, 1, 0.2), (0.0, 2, 0.6)]
    about = {"seq": 0, "label": "jump", "probability": 0.9}
    events = [
        {"pts_s": 0.1, "track": 1, "phase": "begin", **about},
        {"pts_s": 0.0, "track": 2, "phase": "begin", **about},
    ]
    timeline = [{"pts_s": t, "track": who, "probabilities": [p, 1 - p], "epoch": 0} for t, who, p in shares]
    answer = {"bundle": "b", "version": "1", "labels": ["jump", "idle"], "rate_hz": 10, "timeline": timeline}
    answer["events"] = events
    with answering(200, {**answer, "warnings": ["something was odd"]}) as (url, posted):
        assert run("score", str(clip), "--url", url, "--bundle", "b", "--fps", "25") == 0
        out, err = capsys.readouterr()
        assert run("score", str(clip), "--url", url, "--json") == 0
    rows = [line.split() for line in out.splitlines()[1:]]
    assert rows == [
        ["0.00", "0.10", "1", "jump", "80%", "idle", "20%"],
        ["0.20", "0.20", "1", "idle", "80%", "jump", "20%"],
        ["0.10", "s", "track", "1", "jump", "begins", "90%"],
        ["0.00", "0.00", "2", "jump", "60%", "idle", "40%"],
        ["0.00", "s", "track", "2", "jump", "begins", "90%"],
    ]
    assert err == "inkling: something was odd\n"
    assert posted.path == "/v1/clips?bundle=body-actions&skeleton=coco17"
    assert posted.body == clip.read_bytes()
    assert json.loads(capsys.readouterr().out)["timeline"] == timeline


def test_what_is_decided_is_printed_where_an_error_rate_was_named(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decision = DecisionMessage(
        seq=3, pts_s=0.03, track=1, label="jump", probability=0.97, elapsed_s=0.03, error_rate=0.05, epoch=0, first=True
    )

    class Deciding(Peer):
        def answer(self, socket: ServerConnection, message: object) -> bool:
            if isinstance(message, PackedPose) and message.seq == 3:
                say(socket, decision)
            return super().answer(socket, message)

    peer = Deciding()
    with listening(peer) as url:
        assert run("stream", str(clip), "--url", url, "--fast", "--error-rate", "0.05") == 0
        told = "    0.03 s  track 1  decided: jump (97%) after 0.03 s, at most 5% wrong"
        assert told in capsys.readouterr().out.splitlines()
        assert run("stream", str(clip), "--url", url, "--fast", "--json") == 0
        assert decision in [decode_reply(line) for line in capsys.readouterr().out.splitlines()]
    start = peer.seen[0]
    assert isinstance(start, Start)
    assert start.error_rate == 0.05
    answer = {"bundle": "b", "version": "1", "labels": ["jump", "idle"], "rate_hz": 10, "timeline": []}
    with answering(200, {**answer, "decisions": [decision.model_dump()]}) as (url, posted):
        assert run("score", str(clip), "--url", url, "--error-rate", "0.05") == 0
    assert capsys.readouterr().out.splitlines()[1:] == [told]
    assert posted.path.endswith("&error_rate=0.05")


def test_score_raises_the_servers_reason(clip: Path) -> None:
    refusal = {"code": "bad_clip", "message": "broken", "retryable": False}
    with answering(422, refusal) as (url, _), pytest.raises(RemoteError, match="broken"):
        run("score", str(clip), "--url", url)


def test_the_demo_prints_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with listening(Peer()) as url:
        assert run("demo", "--url", url, "--action", "squat", "--seconds", "1.2") == 0
    assert " squat -> " in capsys.readouterr().out


def test_a_file_that_is_not_there_is_said_before_anything_is_connected(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match=r"gone\.npz"):
        run("stream", str(tmp_path / "gone.npz"), "--url", "http://127.0.0.1:1")


@pytest.mark.parametrize("verb", [["demo"], ["stream", "CLIP"], ["score", "CLIP"]])
def test_no_server_is_one_sentence(verb: list[str], clip: Path) -> None:
    verb = [str(clip) if word == "CLIP" else word for word in verb]
    with pytest.raises(Unreachable, match=r"no Inkling server answers at http://127\.0\.0\.1:1 "):
        run(*verb, "--url", "http://127.0.0.1:1")
