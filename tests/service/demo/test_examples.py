"""The examples that a newcomer copies work as they stand."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from inkling.service.client.blocking import Client
from inkling.service.demo import opencv_camera, ros2_node
from inkling.service.demo.ros2_node import Bridge
from tests.films import make_film, pictures
from tests.service.conftest import Running, running, tiny_settings
from tests.support import make_frame_bundle


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root: Path = tmp_path_factory.mktemp("frames")
    decision = {"on": 0.01, "off": 0.005, "min_steps": 1}  # so that there is an event
    make_frame_bundle(root, "fall-watch", "1000", decision=decision)  # newer than the embedded one
    settings = tiny_settings(root.parent / "none", load=("fall-watch",))
    with running(settings.model_copy(update={"bundles": (root,)})) as shared:
        yield shared


def jpeg(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    good, data = cv2.imencode(".jpg", image)
    assert good
    return data.tobytes()


def test_the_opencv_example_is_twenty_lines_and_runs(
    server: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Path(opencv_camera.__file__).read_text().splitlines()
    assert len([line for line in source if line.strip()]) <= 20
    film = make_film(tmp_path / "film.avi", pictures(8, 48, 64), 15.0, "mjpeg", "yuvj420p")
    monkeypatch.setattr(opencv_camera, "Client", lambda url: Client(server.url))
    opencv_camera.main(str(film))
    assert "more, type=.summary. received=8" in capsys.readouterr().out.replace("'", ".")


def test_the_ros_bridge_keeps_the_cameras_time_and_publishes_json(server: Running) -> None:
    published: list[tuple[str, dict[str, object]]] = []
    bridge = Bridge(server.url, "fall-watch", lambda topic, text: published.append((topic, json.loads(text))))
    for i, image in enumerate(pictures(6, 48, 64)):
        bridge.image(jpeg(image), 1_700_000_000.0 + i / 15)
        list_of = bridge.stream.flush()
        assert list_of is not None
        for one in list_of:
            assert one.pts_s == pytest.approx(i / 15, abs=1e-5)
    bridge.image(b"no image", 1_700_000_001.0)
    while not any(topic == "refused" for topic, _ in published):
        bridge.poll()
    bridge.close()
    topics = {topic for topic, _ in published}
    assert {"event", "refused"} <= topics
    assert bridge.left_out == 0


def test_the_ros_bridge_publishes_predictions_while_images_come(server: Running) -> None:
    published: list[dict[str, object]] = []

    def publish(topic: str, text: str) -> None:
        if topic == "prediction":
            published.append(json.loads(text))

    bridge = Bridge(server.url, "fall-watch", publish)
    bridge.image(jpeg(pictures(1, 48, 64)[0]), 5.0)
    while not published:
        bridge.poll()
    bridge.close()
    assert set(published[0]) == {"pts_s", "label", "probabilities"}


def test_without_ros_the_example_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ros2_node, "rclpy", None)
    assert ros2_node.main() == 2
    assert "needs ROS 2" in capsys.readouterr().err
    assert "rclpy" not in sys.modules
