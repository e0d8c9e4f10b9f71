"""Sources against a real RTSP server, which is killed and comes back, freezes, and changes its picture."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from inkling.service.protocol.codec import Ready
from inkling.service.sources.lifecycle import Cause, SourceState, SourceTiming
from inkling.service.sources.pipe import Failed, FetchedFrame, Opened
from inkling.service.sources.policy import SourcePolicy
from inkling.service.sources.source import Source
from tests.service.sources.cameras import free_port, make_certificate, until
from tests.service.sources.test_source import Watch, bundles, run
from tests.service.sources.test_worker import fetch, job
from tests.support import skip_unless

__all__ = ["bundles"]

PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("rtsp_server.py")
NEEDED = (
    "import gi\n"
    "gi.require_version('Gst', '1.0')\n"
    "gi.require_version('GstRtspServer', '1.0')\n"
    "from gi.repository import Gst, GstRtspServer\n"
    "Gst.init(None)\n"
    "assert all(Gst.ElementFactory.find(name) for name in ('videotestsrc', 'videobox', 'x264enc', 'rtph264pay'))"
)
TIMING = SourceTiming(open_s=10.0, stall_s=0.7, read_s=2.0, first_retry_s=0.1, retry_s=0.3, steady_s=10.0)


@pytest.fixture(scope="module", autouse=True)
def gstreamer() -> None:
    """Debian's packages: gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-{base,good,ugly}."""
    found = shutil.which(PYTHON) is not None
    found = found and subprocess.run([PYTHON, "-c", NEEDED], capture_output=True, check=False).returncode == 0
    skip_unless(found, "GStreamer's RTSP server with its Python bindings is not installed")


class Server:
    """The server's process. say: see rtsp_server.py."""

    def __init__(self, port: int = 0, *how: str) -> None:
        self._process = subprocess.Popen(
            [PYTHON, SCRIPT, str(port), *how], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())

    def url(self, login: str = "") -> str:
        return f"rtsp://{login}127.0.0.1:{self.port}/live"

    def say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


@contextlib.contextmanager
def serving(*how: str) -> Iterator[Server]:
    server = Server(0, *how)
    try:
        yield server
    finally:
        server.kill()


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_with_the_cameras_own_times(transport: str) -> None:
    with serving() as server:
        opened, *pictures = fetch(job(server.url(), transport=transport, open_s=20), limit=25)
    assert opened == Opened(320, 240, "rtsp", live=True)
    assert all(isinstance(picture, FetchedFrame) for picture in pictures), "it sends a key frame in two packets"
    times = [
        picture.media_s for picture in pictures if isinstance(picture, FetchedFrame) and picture.media_s is not None
    ]
    assert len(times) >= 20
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert sorted(steps)[len(steps) // 2] == pytest.approx(1 / 15, abs=0.01)


def test_credentials_are_needed_and_not_told() -> None:
    with serving("me", "pass/word") as server:
        for login in ("", "me:wrongword@"):
            (last,) = fetch(job(server.url(login)))
            assert isinstance(last, Failed)
            assert last.cause is Cause.UNAUTHORISED
            assert "word" not in last.message
        assert len(fetch(job(server.url("me:pass%2Fword@"), open_s=20), limit=5)) == 5


def test_over_tls_only_the_camera_that_was_meant_is_watched(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    mine = SourcePolicy(hosts=("127.0.0.1", "localhost"), ca_file=certificate)
    with serving(str(certificate)) as server:
        url = server.url().replace("rtsp:", "rtsps:")
        for host, policy in (
            ("localhost", SourcePolicy(hosts=("localhost",))),  # nobody vouches for the certificate
            ("127.0.0.1", mine),  # it is of another host
        ):
            (last,) = fetch(job(url.replace("127.0.0.1", host), policy=policy))
            assert isinstance(last, Failed)
        for policy in (mine, SourcePolicy(hosts=("localhost",), verify_tls=False)):
            good = job(url.replace("127.0.0.1", "localhost"), policy=policy, open_s=20)
            assert isinstance(fetch(good, limit=1)[0], Opened)


def test_a_path_that_is_not_there_is_not_found() -> None:
    with serving() as server:
        (last,) = fetch(job(server.url() + "/other"))
    assert isinstance(last, Failed)
    assert last.cause is Cause.NOT_FOUND


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    (last,) = fetch(job(f"rtsp://127.0.0.1:{free_port()}/live"))
    assert isinstance(last, Failed)
    assert last.cause is Cause.UNREACHABLE


def test_a_server_that_is_killed_and_comes_back_is_watched_again(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        server = await asyncio.to_thread(Server)
        try:
            source = watch.source(server.url(), TIMING)
            source.start()
            await until(lambda: len(watch.predictions) >= 10)
            server.kill()
            await until(lambda: source.lifecycle.cause is Cause.UNREACHABLE)
            await asyncio.sleep(1.2)
            before = len(watch.predictions)
            server = await asyncio.to_thread(Server, server.port)
            await until(lambda: len(watch.predictions) >= before + 5)
            await source.remove()
        finally:
            server.kill()
        assert [message.stream for message in watch.messages if isinstance(message, Ready)] == ["door"]
        assert watch.predictions[before].reset == "gap"
        assert sum(source.tally.lost.values()) >= 2

    run(bundles, body)


def test_a_camera_that_freezes_is_stalled_and_a_thaw_makes_it_live(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with serving() as server:
            source = watch.source(server.url(), SourceTiming(open_s=10, stall_s=0.7, read_s=30))
            source.start()
            await until(lambda: state(source) is SourceState.LIVE)
            server.say("freeze")
            await until(lambda: state(source) is SourceState.STALLED)
            assert source.lifecycle.cause is Cause.NO_FRAMES
            server.say("go")
            await until(lambda: state(source) is SourceState.LIVE)
            assert source.tally.connects == 1
            await source.remove()

    run(bundles, body)


def test_a_camera_that_stays_frozen_is_connected_to_anew(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with serving() as server:
            source = watch.source(server.url(), TIMING)
            source.start()
            await until(lambda: state(source) is SourceState.LIVE)
            server.say("freeze")
            await until(lambda: source.tally.connects >= 2)
            assert source.tally.lost[Cause.NO_FRAMES] >= 1
            server.say("go")
            await until(lambda: state(source) is SourceState.LIVE)
            await source.remove()

    run(bundles, body)


def test_a_camera_may_change_its_resolution_and_rate(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with serving() as server:
            source = watch.source(server.url(), TIMING)
            source.start()
            await until(lambda: len(watch.predictions) >= 10)
            server.say("size 640 360 30")
            before = source.tally.frames
            await until(lambda: source.tally.frames >= before + 60)
            assert state(source) is SourceState.LIVE
            assert source.tally.connects == 1
            await source.remove()

    run(bundles, body)


def state(source: Source) -> SourceState:
    """Looked at anew each time: it changes by itself."""
    return source.lifecycle.state
