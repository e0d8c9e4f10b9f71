"""A bundle that says what comes, on a real server: nowhere can its labels be taken for those of the present."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.sync.client import connect

from inkling.client import Client, DecisionMessage, Event, Prediction
from inkling.service.cli.main import main
from inkling.service.protocol.codec import Ready, Summary, decode_reply
from tests.service.conftest import PROMISES, WAIT_S, Running, running, tiny_settings
from tests.support import Floats, make_bundle, poses

LEAD_S = 0.4
RULE = {"on": 0.34, "off": 0.33, "min_steps": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("bundles")
    make_bundle(root, task="anticipation", lead_s=LEAD_S, decision=RULE, stopping=PROMISES)
    with running(tiny_settings(root)) as shared:
        yield shared


@pytest.fixture(scope="module")
def clip() -> Floats:
    return poses(40, 1, seed=3)[:, 0]


def watched(server: Running, clip: Floats) -> tuple[list[Prediction], list[Event], list[DecisionMessage], float]:
    events: list[Event] = []
    decisions: list[DecisionMessage] = []
    with Client(server.url).stream(
        "tiny", policy="block", error_rate=0.2, on_event=events.append, on_decision=decisions.append
    ) as stream:
        for step, keypoints in enumerate(clip):
            stream.send(keypoints, pts_s=step / 15)
        return list(stream.finish()), events, decisions, stream.lead_s


def test_a_stream_is_told_how_far_ahead_and_each_answer_for_when(server: Running, clip: Floats) -> None:
    predictions, events, decisions, lead_s = watched(server, clip)
    assert lead_s == LEAD_S
    assert len(predictions) == len(clip)
    times = [(said.pts_s, said.for_s) for said in predictions] + [(said.pts_s, said.for_s) for said in decisions]
    assert all(for_s == round(pts_s + LEAD_S, 6) for pts_s, for_s in times)
    assert {event.begins_in_s for event in events if event.phase == "begin"} == {LEAD_S}
    assert {event.ends_in_s for event in events if event.phase == "end"} <= {LEAD_S}
    assert decisions


def test_a_scored_clip_says_what_a_stream_does(server: Running, clip: Floats) -> None:
    timeline = Client(server.url).score(clip, "tiny", fps=15.0, skeleton="body13")
    predictions, *_ = watched(server, clip)
    assert timeline.lead_s == LEAD_S
    assert timeline.raw["task"] == "anticipation"
    assert [entry.for_s for entry in timeline.entries] == [said.for_s for said in predictions]
    np.testing.assert_allclose(timeline.of(1)[1], [said.probabilities for said in predictions], atol=1e-5)
    assert timeline.events
    assert all((event.begins_in_s or event.ends_in_s) == LEAD_S for event in timeline.events)


def test_its_followers_and_packed_results_say_the_same(server: Running, clip: Floats) -> None:
    start = {"type": "start", "bundle": "tiny", "policy": "block", "results": "packed"}
    with connect(server.stream_url, compression=None) as socket:
        socket.send(json.dumps(start))
        ready = decode_reply(socket.recv(WAIT_S))
        assert isinstance(ready, Ready)
        assert (ready.task, ready.lead_s) == ("anticipation", LEAD_S)
        with connect(f"{server.url.replace('http', 'ws')}/v1/streams/{ready.stream}/predictions") as follower:
            assert decode_reply(follower.recv(WAIT_S)).lead_s == LEAD_S  # type: ignore[union-attr]
            people = [{"track": 1, "keypoints": clip[0].tolist()}]
            socket.send(json.dumps({"type": "pose", "seq": 0, "pts_s": 2.0, "people": people}))
            packed = socket.recv(WAIT_S)
            assert isinstance(packed, bytes)
            said = decode_reply(packed, ready.labels, ready.lead_s)
            followed = decode_reply(follower.recv(WAIT_S))
            socket.send(json.dumps({"type": "end"}))
            while not isinstance(decode_reply(socket.recv(WAIT_S), ready.labels, ready.lead_s), Summary):
                pass
    assert isinstance(said, Prediction)
    assert isinstance(followed, Prediction)
    assert said == followed
    assert said.for_s == 2.4


def test_bundles_are_listed_with_their_task(server: Running) -> None:
    (bundle,) = httpx.get(f"{server.url}/v1/bundles").json()
    assert (bundle["task"], bundle["lead_s"]) == ("anticipation", LEAD_S)


def test_the_command_line_says_when(
    server: Running, clip: Floats, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "clip.npz", keypoints=clip, pts_s=np.arange(len(clip)) / 15)
    options = ["--url", server.url, "--bundle", "tiny", "--skeleton", "body13"]
    assert main(["stream", str(tmp_path / "clip.npz"), "--fast", *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("begins in 0.4 s" in line for line in lines)
    assert all("in 0.4 s: " in line or " in 0.4 s " in line for line in lines)
    assert main(["score", str(tmp_path / "clip.npz"), *options]) == 0
    assert capsys.readouterr().out.startswith("each label is of 0.4 s after the times beside it")
