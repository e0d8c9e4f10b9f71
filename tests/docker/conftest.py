"""A server with everything to measure: poses, images, a clip, a source, an error, and a bundle that is broken."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from inkling.service import bootstrap
from inkling.service.protocol.image_binary import pack_image
from inkling.service.server import bind
from inkling.service.sources.lifecycle import SourceState
from tests.coloured_people import RED, room
from tests.people_bundle import make_people_bundle
from tests.service.conftest import Running, body, finish, opened, pose, running, say, settled, tiny_settings, wait_until
from tests.support import make_bundle, make_frame_bundle, picture

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"


@pytest.fixture(scope="package")  # no longer: training's tests restore signal handlers that its loop relies on
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server after some work."""
    root = tmp_path_factory.mktemp("bundles")
    videos = tmp_path_factory.mktemp("videos")
    make_bundle(root)
    make_frame_bundle(root)
    make_people_bundle(root)
    (make_bundle(root, name="broken") / "step.onnx").write_bytes(b"")
    settings = tiny_settings(
        root, load=(), bundles=(), source_directories=(videos,), source_hosts=("127.0.0.1",), source_retry_s=1.0,
        people_bundle="colours",
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # no longer than it takes: other tests want the real ones
            patch.setattr(bootstrap, "zoo_directory", lambda: root)
            server = stack.enter_context(running(settings))
        work(server, videos)
        yield server


def work(server: Running, videos: Path) -> None:
    """Something of everything."""
    image = picture(24, 32)
    with opened(server, bundle="tiny-frames", input="frame") as socket:
        say(socket, pack_image(0, image, 0.0))
        settled(socket)
        finish(socket)
    with opened(server, bundle="tiny", input="frame") as socket:
        say(socket, pack_image(0, room({RED: (8, 10, 40, 90)}), 0.0))
        settled(socket)
        finish(socket)
    stream(server)
    clip = {"fps": 15, "people": [{"track": 1, "keypoints": [body(0), body(1)]}]}
    assert httpx.post(f"{server.url}/v1/clips?bundle=tiny", content=json.dumps(clip)).status_code == 200
    (videos / "no.mp4").write_bytes(b"no video")
    with bind("127.0.0.1", 0) as nobody:
        port = nobody.getsockname()[1]
    for url in ((videos / "no.mp4").as_uri(), f"http://127.0.0.1:{port}/"):
        assert httpx.post(f"{server.url}/v1/sources", json={"url": url, "bundle": "tiny-frames"}).is_success
    wait_until(lambda: server.core.sources.states()[SourceState.FAILED] == 1 and bool(server.core.sources.tally().lost))


def stream(server: Running) -> None:
    """A stream with a gap, a bad frame and an error."""
    with opened(server, bundle="tiny") as socket:
        for seq in range(10):
            say(socket, pose(seq, seq / 15, {1: body(seq)}))
        say(socket, pose(10, 100.0, {1: body(1)}))
        say(socket, pose(11, -1.0, {1: body(1)}))
        settled(socket)
        finish(socket)
