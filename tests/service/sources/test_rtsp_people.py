"""A camera with somebody in view, on RTSP, that is killed and comes back: what its followers are told."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from inkling.service.protocol.codec import Event, Outgoing, PeopleMessage, Prediction, Ready, Summary, decode_reply
from tests.people_bundle import make_people_bundle
from tests.service.conftest import WAIT_S, running, tiny_settings, wait_until
from tests.service.sources.test_rtsp import Server, gstreamer
from tests.support import make_bundle

__all__ = ["gstreamer"]


class Ear:
    """A follower that keeps what it hears, on a thread, until the stream ends."""

    def __init__(self, url: str) -> None:
        self.heard: list[Outgoing] = []
        self._url = url
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in tuple(self.heard) if isinstance(message, kind)]

    def wait(self) -> None:
        """Until the stream has ended."""
        self._thread.join(WAIT_S)
        assert self.of(Summary)

    def _listen(self) -> None:
        with connect(self._url) as socket, contextlib.suppress(ConnectionClosed):
            for data in socket:
                self.heard.append(decode_reply(data))


def test_a_camera_that_is_killed_with_somebody_in_view_and_comes_back(tmp_path: Path) -> None:
    make_bundle(tmp_path, decision={"on": 0.0, "off": 0.0, "min_steps": 2})
    make_people_bundle(tmp_path)
    settings = tiny_settings(tmp_path, people_bundle="colours", source_hosts=("127.0.0.1",), source_retry_s=1.0)
    camera = Server(0, "person")
    try:
        with running(settings) as server:
            wanted = {"url": camera.url(), "bundle": "tiny", "perception": {"motion_gate": False}}
            id = httpx.post(f"{server.url}/v1/sources", json=wanted).json()["id"]
            ear = Ear(f"{server.url.replace('http', 'ws', 1)}/v1/streams/{id}/predictions?people=true")

            def until(count: int) -> None:
                wait_until(lambda: len(ear.of(Prediction)) >= count)

            until(10)
            assert [event.phase for event in ear.of(Event)] == ["begin"]

            camera.kill()
            wait_until(lambda: httpx.get(f"{server.url}/v1/sources/{id}").json()["state"] == "retrying")
            wait_until(lambda: ear.of(Event)[-1].phase == "end")
            stats = next(stats for stats in server.core.hub.stats() if stats.spec.name == "tiny")
            assert (stats.tracks, stats.slots_used) == (0, 0), "nobody is watched while nothing is seen"
            before = len(ear.of(Prediction))
            assert {prediction.track for prediction in ear.of(Prediction)} == {1}

            camera = Server(camera.port, "person")
            until(before + 10)
            httpx.delete(f"{server.url}/v1/sources/{id}")
            ear.wait()
    finally:
        camera.kill()
    predictions = ear.of(Prediction)
    again = predictions[before:]
    assert {prediction.track for prediction in again} == {2}, "somebody new: a second or more was not seen"
    assert again[0].pts_s - predictions[before - 1].pts_s > 1.0
    assert again[0].probabilities == pytest.approx(predictions[0].probabilities, abs=0.01), "from the initial state"
    assert [seen.people[0].track for seen in ear.of(PeopleMessage)][-1] == 2
    assert np.allclose(ear.of(PeopleMessage)[-1].people[0].box, (120, 40, 200, 200), atol=6)
    assert [(event.track, event.phase) for event in ear.of(Event)] == [
        *((1, "begin"), (1, "end"), (2, "begin"), (2, "end"))
    ]
    assert len(ear.of(Ready)) == 1, "the stream is the same"
