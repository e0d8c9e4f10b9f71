"""One source in a real hub, watching real servers that come, go, freeze and hang."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from inkling.models.bundle import load
from inkling.models.video import VideoReader, to_rgb
from inkling.service.protocol.codec import End, Outgoing, Prediction, Ready, Start, Summary
from inkling.service.protocol.errors import SourceRefused, UnsupportedInput
from inkling.service.protocol.image_binary import ImageFrame
from inkling.service.sources.definition import SourceDefinition
from inkling.service.sources.fetch_request import Spool
from inkling.service.sources.lifecycle import Cause, SourceState, SourceTiming
from inkling.service.sources.policy import SourcePolicy
from inkling.service.sources.source import Source
from inkling.service.streams.admitted_stream import AdmittedStream
from inkling.service.streams.hub import Hub
from tests.service.sources.cameras import Camera, free_port, jpeg, make_video, reply, serving, silent, until
from tests.support import make_bundle, make_frame_bundle

QUICK = SourceTiming(open_s=5.0, stall_s=0.4, read_s=1.0, first_retry_s=0.1, retry_s=0.3, steady_s=10.0)
PATIENT = SourceTiming(open_s=60.0, stall_s=30.0, read_s=60.0)


@dataclass
class Watch:
    """A source and what its stream was told."""

    hub: Hub
    policy: SourcePolicy
    messages: list[Outgoing] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    def source(self, url: str, timing: SourceTiming = QUICK, **options: Any) -> Source:
        def open_stream(start: Start, id: str, definition: SourceDefinition) -> AdmittedStream:
            return self.hub.open(start, self.messages.append, id, options=definition.perception)

        wanted = SourceDefinition(**{"url": url, "bundle": "tiny-frames"} | options)
        return Source(
            "door",
            wanted,
            self.policy,
            timing,
            open_stream,
            max_pixels=4096 * 4096,
            spool=Spool(),
            memory=self.hub.memory.share("sources"),
            on_end=lambda source: self.ended.append(source.id),
        )

    @property
    def predictions(self) -> list[Prediction]:
        return [message for message in self.messages if isinstance(message, Prediction)]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("bundles")
    return [make_frame_bundle(root), make_bundle(root)]


def run(bundles: list[Path], body: Callable[[Watch], Awaitable[None]], directory: Path | None = None) -> None:
    """Run a test's body on a loop with a hub; insists that nothing is left of its streams."""

    @contextlib.asynccontextmanager
    async def watching() -> AsyncIterator[Watch]:
        hub = Hub(threads=1, decode_threads=1)
        for path in bundles:
            hub.load(load(path))
        hub.start(asyncio.get_running_loop())
        try:
            yield Watch(hub, SourcePolicy(hosts=("127.0.0.1",), directories=(directory,) if directory else ()))
            assert hub.streams() == []
        finally:
            await hub.stop()

    async def whole() -> None:
        async with watching() as watch:
            await body(watch)

    asyncio.run(whole())


def test_a_camera_is_watched_until_it_is_removed(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with Camera() as camera:
            source = watch.source(camera.url)
            source.open_stream()
            source.start()
            await until(lambda: len(watch.predictions) >= 10 and source.lifecycle.state is SourceState.LIVE)
            assert watch.hub.streams()[0].stream == "door"
            assert source.bundle == ("tiny-frames", "1")
            await source.remove()
        assert source.lifecycle.state is SourceState.ENDED
        assert source.lifecycle.cause is Cause.REMOVED
        assert isinstance(watch.messages[0], Ready)
        assert isinstance(watch.messages[-1], Summary)
        times = [prediction.pts_s for prediction in watch.predictions]
        assert times == sorted(times)

    run(bundles, body)


def test_a_camera_that_goes_and_comes_back_keeps_its_stream_and_is_reset_with_a_reason(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with Camera() as camera:
            source = watch.source(camera.url)
            source.start()
            await until(lambda: len(watch.predictions) >= 5)
            await asyncio.to_thread(camera.off)
            await until(lambda: source.lifecycle.state is SourceState.RETRYING)
            await until(lambda: source.lifecycle.cause is Cause.UNREACHABLE)
            assert source.lifecycle.failures >= 2
            await asyncio.sleep(1.2)  # longer than the bundle's max_gap_s
            before = len(watch.predictions)
            await asyncio.to_thread(camera.on)
            await until(lambda: len(watch.predictions) >= before + 5)
            assert source.lifecycle.state is SourceState.LIVE
            await source.remove()
        first = watch.predictions[before]
        assert (first.reset, first.epoch) == ("gap", 1)
        assert first.pts_s - watch.predictions[before - 1].pts_s > 1.0
        assert {prediction.epoch for prediction in watch.predictions} == {0, 1}
        assert [message.stream for message in watch.messages if isinstance(message, Ready)] == ["door"]
        assert source.tally.lost[Cause.CLOSED] == 1
        assert source.tally.connects >= 3

    run(bundles, body)


def test_a_camera_that_freezes_is_stalled_then_connected_to_anew(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with Camera() as camera:
            source = watch.source(camera.url)
            source.start()
            await until(lambda: source.lifecycle.state is SourceState.LIVE)
            camera.frozen = True
            await until(lambda: source.lifecycle.state is SourceState.STALLED)
            await until(lambda: camera.requests >= 2)
            camera.frozen = False
            await until(lambda: source.lifecycle.state is SourceState.LIVE)
            await source.remove()
        assert source.tally.lost[Cause.NO_FRAMES] >= 1

    run(bundles, body)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_source_can_be_removed_while_its_first_connect_hangs(bundles: list[Path], scheme: str) -> None:
    async def body(watch: Watch) -> None:
        arrived: list[socket.socket] = []
        with silent(arrived) as port:
            source = watch.source(f"{scheme}://127.0.0.1:{port}/x", PATIENT)
            source.start()
            await until(lambda: bool(arrived))
            assert source.lifecycle.state is SourceState.CONNECTING
            async with asyncio.timeout(10):
                await source.remove()
        assert isinstance(watch.messages[-1], Summary)

    run(bundles, body)


def test_a_connect_that_hangs_is_given_up(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with silent() as port:
            source = watch.source(
                f"rtsp://127.0.0.1:{port}/x", SourceTiming(open_s=0.3, first_retry_s=0.05, retry_s=0.1)
            )
            source.start()
            await until(lambda: source.tally.connects >= 3)
            assert source.lifecycle.cause is Cause.TIMEOUT
            await source.remove()

    run(bundles, body)


def test_a_source_can_be_removed_while_it_waits(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        source = watch.source(f"http://127.0.0.1:{free_port()}/x", SourceTiming(first_retry_s=1000, retry_s=1000))
        source.start()
        await until(lambda: source.lifecycle.state is SourceState.RETRYING and source.lifecycle.failures == 1)
        assert 400 < (source.retry_in_s() or 0) <= 1000
        async with asyncio.timeout(10):
            await source.remove()

    run(bundles, body)


def test_a_file_is_played_once_without_loss(bundles: list[Path], tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=45, rate=15)

    async def body(watch: Watch) -> None:
        source = watch.source("file:a.mp4", pace="fast", top_k=1)
        source.start()
        await until(lambda: bool(watch.ended))
        assert (source.lifecycle.state, source.lifecycle.cause) == (SourceState.ENDED, Cause.FINISHED)
        assert [prediction.seq for prediction in watch.predictions] == list(range(45))
        assert len(watch.predictions[0].probabilities) == 1
        summary = watch.messages[-1]
        assert isinstance(summary, Summary)
        assert (summary.received, summary.stepped, summary.dropped) == (45, 45, 0)

    run(bundles, body, tmp_path)


def test_a_loop_begins_with_a_new_state_and_time_goes_on(bundles: list[Path], tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=6, rate=15)

    async def body(watch: Watch) -> None:
        source = watch.source("file:a.mp4", pace="fast", loop=True)
        source.start()
        await until(lambda: len(watch.predictions) >= 18)
        await source.remove()
        shown = watch.predictions[:18]
        assert [prediction.epoch for prediction in shown] == [0] * 6 + [1] * 6 + [2] * 6
        assert [shown[0].reset, shown[6].reset, shown[12].reset] == [None, "requested", "requested"]
        assert [prediction.pts_s for prediction in shown] == pytest.approx([i / 15 for i in range(18)], abs=1e-3)
        for one, other in zip(shown[:6], shown[6:12], strict=True):
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)

    run(bundles, body, tmp_path)


def test_a_looping_file_goes_on_after_its_fetching_process_was_killed(bundles: list[Path], tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=30, rate=15)

    async def body(watch: Watch) -> None:
        source = watch.source("file:a.mp4", loop=True)
        source.start()
        for round_ in range(1, 3):
            before = len(watch.predictions)
            await until(lambda before=before: len(watch.predictions) >= before + 5)  # type: ignore[misc]
            connection = source._connection
            assert connection is not None
            assert connection._process is not None
            connection._process.kill()
            await until(lambda round_=round_: source.tally.lost[Cause.CRASHED] == round_)  # type: ignore[misc]
        before = len(watch.predictions)
        await until(lambda: len(watch.predictions) >= before + 5)
        assert source.lifecycle.state is SourceState.LIVE
        await source.remove()

    run(bundles, body, tmp_path)


@pytest.mark.parametrize("data", [b"", b"no video at all" * 100])
def test_a_file_that_is_none_fails_for_good(bundles: list[Path], tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(data)

    async def body(watch: Watch) -> None:
        source = watch.source("file:a.mp4")
        source.start()
        await until(lambda: bool(watch.ended))
        assert (source.lifecycle.state, source.lifecycle.cause) == (SourceState.FAILED, Cause.UNREADABLE)
        assert source.lifecycle.message

    run(bundles, body, tmp_path)


def test_a_name_that_leads_to_this_machine_fails_for_good(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        watch.policy = SourcePolicy(hosts=("10.0.0.0/8",))
        source = watch.source("http://localhost:1/x")
        source.start()
        await until(lambda: bool(watch.ended))
        assert (source.lifecycle.state, source.lifecycle.cause) == (SourceState.FAILED, Cause.REFUSED)

    run(bundles, body)


def test_a_stream_that_the_server_closed_is_opened_again(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with Camera() as camera:
            source = watch.source(camera.url)
            source.start()
            await until(lambda: len(watch.predictions) >= 2)
            assert source._handle is not None
            source._handle.close("a fault")
            await until(lambda: sum(isinstance(message, Ready) for message in watch.messages) == 2)
            await until(lambda: isinstance(watch.messages[-1], Prediction))
            await source.remove()

    run(bundles, body)


def test_a_full_server_is_tried_again(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        others = [watch.hub.open(Start(bundle="tiny-frames", input="frame"), lambda _: None) for _ in range(256)]
        with Camera() as camera:
            source = watch.source(camera.url)
            source.start()
            await until(lambda: source.lifecycle.cause is Cause.CAPACITY)
            for handle in others:
                handle.close("room")
            await until(lambda: source.lifecycle.state is SourceState.LIVE)
            await source.remove()

    run(bundles, body)


def test_two_streams_of_one_id_cannot_be_open(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        source = watch.source("http://127.0.0.1/x")
        source.open_stream()
        source.open_stream()  # it has its stream already
        with pytest.raises(ValueError, match="open already"):
            watch.hub.open(Start(bundle="tiny-frames", input="frame"), watch.messages.append, source.id)
        await source.remove()

    run(bundles, body)


def test_a_bundle_of_poses_is_refused(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with pytest.raises(UnsupportedInput):
            watch.source("http://127.0.0.1/x", bundle="tiny").open_stream()
        source = watch.source("http://127.0.0.1/x", bundle="tiny")
        source.start()
        await until(lambda: bool(watch.ended))
        assert (source.lifecycle.state, source.lifecycle.cause) == (SourceState.FAILED, Cause.NO_BUNDLE)

    run(bundles, body)


def test_a_camera_that_is_asked_for_pictures_is_live_between_them(bundles: list[Path]) -> None:
    asked: list[float] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(time.monotonic())
        reply(request, jpeg(48, 64, len(asked)), "image/jpeg")

    async def body(watch: Watch) -> None:
        with serving(answer) as port:
            source = watch.source(f"http://127.0.0.1:{port}/shot", interval_s=0.6)  # later than QUICK is stalled
            source.start()
            await until(lambda: source.lifecycle.state is SourceState.LIVE)
            since_s = source.lifecycle.since_s
            await until(lambda: len(watch.predictions) >= 4)
            assert (source.lifecycle.state, source.lifecycle.since_s) == (SourceState.LIVE, since_s)
            await source.remove()
        assert source.tally.connects == 1
        assert min(later - asked[0] for later in asked[3:4]) >= 1.7

    run(bundles, body)


def test_the_time_between_two_frames_is_the_cameras_own_where_it_says_it(bundles: list[Path]) -> None:
    """And not that of their arrival, which the network delays."""
    done = threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        for number, wait_s in enumerate((0.25, 0.35, 0.25, 0.3, 10.0)):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nX-Timestamp: {7 + 0.3 * number:.6f}\r\n\r\n"
            request.wfile.write(head.encode() + jpeg(48, 64, number))
            done.wait(wait_s)

    async def body(watch: Watch) -> None:
        with serving(answer) as port:
            source = watch.source(f"http://127.0.0.1:{port}/", PATIENT)
            source.start()
            await until(lambda: len({prediction.seq for prediction in watch.predictions}) == 5)
            await source.remove()
            done.set()
        times = {prediction.seq: prediction.pts_s for prediction in watch.predictions}
        apart = [times[seq + 1] - times[seq] for seq in range(4)]
        assert apart == pytest.approx([0.3] * 4, abs=1e-3)

    run(bundles, body)


def test_an_address_that_gives_a_single_picture_says_what_to_set(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with serving(lambda request: reply(request, jpeg(48, 64), "image/jpeg")) as port:
            source = watch.source(f"http://127.0.0.1:{port}/shot")
            source.start()
            await until(lambda: source.lifecycle.cause is Cause.UNREADABLE)
            assert "interval_s" in source.lifecycle.message
            await source.remove()

    run(bundles, body)


def test_while_a_recording_is_fetched_first_the_source_says_so(bundles: list[Path], tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.mp4", frames=20, rate=30, size=(240, 320)).read_bytes()
    go_on = threading.Event()

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", str(len(data)))
        request.end_headers()
        request.wfile.write(data[: len(data) // 2])
        go_on.wait(10)
        request.wfile.write(data[len(data) // 2 :])

    async def body(watch: Watch) -> None:
        with serving(answer) as port:
            source = watch.source(f"http://127.0.0.1:{port}/a.mp4", PATIENT)
            source.start()
            await until(lambda: "the recording is fetched first" in source.lifecycle.message)
            assert source.lifecycle.state is SourceState.CONNECTING
            go_on.set()
            await until(lambda: bool(watch.ended))
            assert (source.lifecycle.cause, source.lifecycle.message) == (Cause.FINISHED, "")
            assert source.tally.frames == 20

    run(bundles, body)


def test_what_the_settings_refuse_is_no_source(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        for url in ("http://10.0.0.1/x", "file:a.mp4", "device:/dev/video0"):
            with pytest.raises(SourceRefused):
                watch.source(url)

    run(bundles, body)


def test_the_server_stops_while_a_source_is_live(bundles: list[Path]) -> None:
    async def body(watch: Watch) -> None:
        with Camera() as camera:
            source = watch.source(camera.url)
            source.start()
            await until(lambda: len(watch.predictions) >= 2)
            started_s = time.monotonic()
            await source.stop()
            watch.hub.drain()
            async with asyncio.timeout(10):
                await watch.hub.drained()
            assert time.monotonic() - started_s < 10
            assert isinstance(watch.messages[-1], Summary)

    run(bundles, body)


def test_a_file_gives_what_a_stream_of_its_frames_gives(bundles: list[Path], tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=40, rate=25, size=(96, 64))

    async def body(watch: Watch) -> None:
        source = watch.source("file:a.mp4", pace="fast")
        source.start()
        await until(lambda: bool(watch.ended))
        streamed: list[Outgoing] = []
        handle = watch.hub.open(Start(bundle="tiny-frames", input="frame", policy="block"), streamed.append)
        with VideoReader(path) as video:
            for seq, (pts_s, frame) in enumerate(video):
                await handle.writable()
                handle.receive(ImageFrame(seq, pts_s, to_rgb(frame)))
        handle.receive(End())
        await handle.finished()
        others = [message for message in streamed if isinstance(message, Prediction)]
        assert len(others) > 20
        assert [one.seq for one in watch.predictions] == [other.seq for other in others]
        for one, other in zip(watch.predictions, others, strict=True):
            assert one.pts_s == pytest.approx(other.pts_s, abs=1e-9)
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)

    run(bundles, body, tmp_path)
