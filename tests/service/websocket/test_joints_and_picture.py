"""A bundle that is given joints and their picture, over real connections: streams, clips and sources."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.sync.client import connect

from inkling.service.protocol.codec import ErrorMessage, Outgoing, Prediction, Ready, decode_reply
from inkling.service.protocol.image_binary import pack_image
from tests.coloured_people import BLUE, RED, moved, room
from tests.films import make_film
from tests.joints_and_picture import make_both_bundle
from tests.people_bundle import make_people_bundle
from tests.service.conftest import (
    WAIT_S,
    Running,
    finish,
    hear,
    opened,
    raw,
    running,
    say,
    settled,
    tiny_settings,
    wait_until,
)
from tests.support import make_bundle

RATE_HZ = 15.0
LEFT, RIGHT = (8, 10, 40, 90), (80, 12, 118, 88)
PICTURES = [room({RED: moved(LEFT, i)} | ({BLUE: moved(RIGHT, -i)} if i > 6 else {})) for i in range(16)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root, films = tmp_path_factory.mktemp("bundles"), tmp_path_factory.mktemp("films")
    make_bundle(root)
    make_both_bundle(root)
    make_people_bundle(root)
    make_film(films / "two.mkv", PICTURES, RATE_HZ)
    settings = tiny_settings(
        root, load=("tiny", "tiny-both"), people_bundle="colours", source_schemes=("file",), source_directories=(films,)
    )
    with running(settings) as shared:
        yield shared


@pytest.fixture(scope="module")
def streamed(server: Running) -> list[Prediction]:
    """What a stream of the pictures is told."""
    heard: list[Outgoing] = []
    with opened(server, bundle="tiny-both", input="frame", policy="block") as socket:
        for seq, picture in enumerate(PICTURES):
            say(socket, pack_image(seq, picture, seq / RATE_HZ))
            heard += settled(socket, seq)
        heard += finish(socket)[0]
    return [message for message in heard if isinstance(message, Prediction)]


def test_everybody_in_the_pictures_is_answered(streamed: list[Prediction]) -> None:
    assert [p.seq for p in streamed if p.track == 1] == list(range(16))
    assert {p.track for p in streamed} == {1, 2}


def test_a_film_over_rest_gives_what_its_stream_gives(server: Running, streamed: list[Prediction]) -> None:
    film = server.core.settings.sources.policy.directories[0] / "two.mkv"
    answer = httpx.post(f"{server.url}/v1/clips?bundle=tiny-both", content=film.read_bytes(), timeout=WAIT_S).json()
    assert answer["warnings"] == []
    rows = answer["timeline"]
    assert [(row["seq"], row["track"]) for row in rows] == [(p.seq, p.track) for p in streamed]
    for row, prediction in zip(rows, streamed, strict=True):
        assert row["probabilities"] == pytest.approx(prediction.probabilities, abs=2e-5)


def test_a_camera_that_two_bundles_share_gives_what_each_stream_gives(
    server: Running, streamed: list[Prediction]
) -> None:
    wanted = {
        "url": "file:two.mkv",
        "bundles": ["tiny", "tiny-both"],
        "pace": "real",
        "perception": {"motion_gate": False},
    }
    answer = httpx.post(f"{server.url}/v1/sources", json=wanted)
    assert answer.status_code == 201, answer.text
    id = answer.json()["id"]
    with connect(f"{server.url.replace('http', 'ws', 1)}/v1/streams/{id}.tiny-both/predictions") as follower:
        messages = [decode_reply(data) for data in follower]
    heard = [message for message in messages if isinstance(message, Prediction)]
    wait_until(lambda: httpx.get(f"{server.url}/v1/sources/{id}").json()["state"] == "ended")
    httpx.delete(f"{server.url}/v1/sources/{id}")
    assert len(heard) > 3
    expected = {(p.seq, p.track): p.probabilities for p in streamed}
    for prediction in heard:
        theirs = expected[prediction.seq, prediction.track]
        assert prediction.probabilities == pytest.approx(theirs, abs=2e-5)


def test_whoever_has_poses_alone_is_told_what_the_bundle_wants(server: Running) -> None:
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": "tiny-both", "input": "pose"})
        refused = hear(socket)
    assert isinstance(refused, ErrorMessage)
    assert refused.code == "unsupported_input"
    assert "takes a person's joints together with the picture" in refused.message
    clip = {"skeleton": "body13", "fps": 15, "people": [{"track": 1, "keypoints": np.ones((4, 13, 3)).tolist()}]}
    answer = httpx.post(f"{server.url}/v1/clips?bundle=tiny-both", json=clip)
    assert answer.status_code == 415
    assert answer.json()["code"] == "unsupported_input"
    assert answer.json()["message"] == refused.message


def test_ready_and_the_list_of_bundles_name_every_input(server: Running) -> None:
    with raw(server) as socket:
        say(socket, {"type": "start", "bundle": "tiny-both", "input": "frame"})
        ready = hear(socket)
        finish(socket)
    assert isinstance(ready, Ready)
    assert ready.inputs == ("pose", "frame")
    listed = {row["name"]: row for row in httpx.get(f"{server.url}/v1/bundles").json()}
    assert [given["name"] for given in listed["tiny-both"]["inputs"]] == ["pose", "frame"]
    assert listed["tiny-both"]["inputs"][1] == {"name": "frame", "kind": "frame", "shape": [24, 32, 3]}
    assert listed["tiny"]["inputs"] == [{"name": "pose", **listed["tiny"]["input"]}]


def test_without_a_people_bundle_the_refusal_says_what_to_load(tmp_path: Path) -> None:
    make_both_bundle(tmp_path / "bundles")
    film = make_film(tmp_path / "film.mkv", PICTURES[:3])
    with running(tiny_settings(tmp_path / "bundles", load=("tiny-both",))) as server:
        said = []
        for kind in ("frame", "pose"):
            with raw(server) as socket:
                say(socket, {"type": "start", "bundle": "tiny-both", "input": kind})
                error = hear(socket)
            assert isinstance(error, ErrorMessage)
            assert error.code == "unsupported_input"
            said.append(error.message)
        answer = httpx.post(f"{server.url}/v1/clips?bundle=tiny-both", content=film.read_bytes())
    assert answer.status_code == 415
    assert {answer.json()["message"], *said} == {said[0]}
    assert "load a people bundle" in said[0]
