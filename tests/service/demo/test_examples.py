"""The examples that a newcomer copies work as they stand."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inkling.client import Client
from inkling.service.demo import opencv_camera, plain_protocol, ros2_node
from inkling.service.demo.ros2_node import Bridge
from inkling.service.settings import Settings
from tests.films import make_film, pictures
from tests.service.client.relay import relaying
from tests.service.conftest import Running, running, tiny_settings, wait_until
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
    *predictions, summary = capsys.readouterr().out.splitlines()
    assert "received=8" in summary
    assert len(predictions) == int(summary.split("stepped=")[1].split()[0])
    assert all(line.endswith("%") for line in predictions)


Published = list[tuple[str, dict[str, Any]]]


def published_by(topic: str, published: Published) -> list[dict[str, Any]]:
    return [message for name, message in published if name == topic]


def test_the_ros_bridge_keeps_the_cameras_time_and_publishes_json_as_it_comes(server: Running) -> None:
    published: Published = []
    bridge = Bridge(server.url, "fall-watch", lambda topic, text: published.append((topic, json.loads(text))))
    for i, image in enumerate(pictures(6, 48, 64)):
        bridge.image(jpeg(image), 1_700_000_000.0 + i / 5)
        wait_until(lambda count=i + 1: len(published_by("prediction", published)) == count)  # type: ignore[misc]
    bridge.image(b"no image", 1_700_000_002.0)
    wait_until(lambda: bool(published_by("refused", published)))
    bridge.close()
    predictions = published_by("prediction", published)
    assert [one["pts_s"] for one in predictions] == pytest.approx([i / 5 for i in range(6)], abs=1e-5)
    assert {frozenset(one) for one in predictions} == {frozenset(("pts_s", "label", "probabilities"))}
    assert published_by("refused", published)[0]["code"] == "bad_image"
    assert {one["phase"] for one in published_by("event", published)} in ({"begin"}, {"begin", "end"})
    assert bridge.left_out == 0


def test_the_ros_bridge_leaves_out_images_while_the_server_is_away_and_says_when_it_is_back(server: Running) -> None:
    published: Published = []
    image = jpeg(pictures(1, 48, 64)[0])
    with relaying(server.url) as relay:
        bridge = Bridge(relay.url, "fall-watch", lambda topic, text: published.append((topic, json.loads(text))))
        relay.cut()
        wait_until(lambda: not bridge.stream.connected)
        bridge.image(image, 5.0)
        assert bridge.left_out == 1
        wait_until(lambda: bool(published_by("reconnected", published)))
        bridge.image(image, 6.0)
        wait_until(lambda: bool(published_by("prediction", published)))
        bridge.close()
    assert published_by("reconnected", published)[0]["frames_lost"] == 0
    assert published_by("prediction", published)[0]["pts_s"] == 1.0


def pythons() -> list[str]:
    """This interpreter, and one of ROS 2 Humble's age where it is installed with `websockets`."""
    old = shutil.which("python3.10")
    has = old and not subprocess.run([old, "-c", "import websockets.asyncio"], capture_output=True).returncode
    return [sys.executable, *([old] if old and has else [])]


@pytest.mark.parametrize("python", pythons())
def test_the_protocol_in_forty_lines_runs_without_inkling_and_sees_what_the_server_says(
    python: str, tmp_path: Path
) -> None:
    source = Path(plain_protocol.__file__)
    code = source.read_text(encoding="utf-8")
    assert len([line for line in code.splitlines() if line.strip()]) <= 45
    tree = ast.parse(code, feature_version=(3, 10))
    modules = {each.names[0].name for each in ast.walk(tree) if isinstance(each, ast.Import)}
    modules |= {str(each.module) for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)}
    standard = {"__future__", "asyncio", "json", "math", "sys", "time"}
    assert modules - standard == {"websockets.asyncio.client"}
    copy = tmp_path / "robot.py"
    copy.write_text(code, encoding="utf-8")
    with running(Settings(port=0, load=("body-actions",))) as own:
        done = subprocess.run(
            [python, copy.name, own.stream_url, "1"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, *lines, last = done.stdout.splitlines()
    assert "'ready'" in first
    assert "'summary', 'received': 30" in last
    assert len([line for line in lines if " s  " in line]) == 15
    assert not [line for line in lines if "error" in line]


def test_without_ros_the_example_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(ros2_node, "rclpy", None)
    assert ros2_node.main() == 2
    assert "needs ROS 2" in capsys.readouterr().err
    assert "rclpy" not in sys.modules
