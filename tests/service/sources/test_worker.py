"""The process that fetches, run as the server runs it, on real files and servers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.models.clean_decoding import Damage
from inkling.models.resize import fit_image
from inkling.models.video import VideoReader, to_rgb
from inkling.service.sources.connection import Connection
from inkling.service.sources.fetch_request import FetchRequest
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.pipe import Damaged, Ended, Failed, FetchedFrame, Looped, Opened, WorkerMessage
from inkling.service.sources.policy import SourcePolicy
from tests.films import lose_packets, make_film, quiet_scene
from tests.service.sources.cameras import Camera, make_video, reply, reply_in_parts, serving, silent, within

_BASE = Fraction(1, 25)


def job(url: str, directory: Path | None = None, **more: Any) -> FetchRequest:
    policy = SourcePolicy(hosts=("127.0.0.1", "localhost"), directories=(directory,) if directory else ())
    fields: dict[str, Any] = {"height": 24, "width": 32, "pace": "fast", "open_s": 5.0, "read_s": 5.0, "policy": policy}
    fields |= {"max_pixels": 4096 * 4096, "memory_bytes": 2**26}
    return FetchRequest(url=url, **fields | more)


def fetch(what: FetchRequest, limit: int = 10_000) -> list[WorkerMessage]:
    """All that is said, or its first part."""

    async def run() -> list[WorkerMessage]:
        messages: list[WorkerMessage] = []
        async with Connection(what) as connection:
            async for message in connection.messages():
                messages.append(message)
                if len(messages) >= limit:
                    break
        return messages

    return asyncio.run(run())


def pictures(messages: Sequence[WorkerMessage]) -> list[FetchedFrame]:
    return [message for message in messages if isinstance(message, FetchedFrame)]


def test_a_file_comes_as_the_model_will_see_it(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=12)
    opened, *middle, ended = fetch(job("file:a.mp4", tmp_path))
    assert opened == Opened(64, 48, "file", live=False)
    assert ended == Ended()
    with VideoReader(path, threads=1) as video:
        expected = [(pts_s, fit_image(to_rgb(frame), 24, 32)) for pts_s, frame in video]
    assert [message.media_s for message in pictures(middle)] == [pts_s for pts_s, _ in expected]
    for message, (_, image) in zip(pictures(middle), expected, strict=True):
        np.testing.assert_array_equal(message.image, image)


def test_a_film_on_its_side_is_turned_before_it_is_fitted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", frames=2)
    _, *middle, _ = fetch(job("file:a.mkv", tmp_path, rotate=270))
    with VideoReader(path, threads=1) as video:
        expected = [fit_image(np.rot90(to_rgb(frame), 1), 24, 32) for _, frame in video]
    for message, image in zip(pictures(middle), expected, strict=True):
        np.testing.assert_array_equal(message.image, image)
        assert message.size == (48, 64)


def test_a_loop_begins_again_and_says_so(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mkv", frames=3)
    messages = fetch(job("file:a.mkv", tmp_path, loop=True), limit=12)
    kinds = [type(message) for message in messages]
    assert kinds[:6] == [Opened, FetchedFrame, FetchedFrame, FetchedFrame, Looped, Opened]
    assert kinds.count(Looped) >= 2


def test_a_file_in_real_time_takes_its_time(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=16, rate=20)
    arrived = [message.arrived_s for message in pictures(fetch(job("file:a.mp4", tmp_path, pace="real")))]
    assert arrived[-1] - arrived[0] >= 0.7  # of 0.75


@pytest.mark.parametrize(("frames", "rate", "rounds", "least_s"), [(1, 10, 20, 0.7), (3, 10, 4, 1.0)])
def test_a_loop_in_real_time_takes_its_time_too(
    tmp_path: Path, frames: int, rate: int, rounds: int, least_s: float
) -> None:
    """A frame for 1/25 s when it is the only one, else for the interval before it."""
    make_video(tmp_path / "a.mkv", frames=frames, rate=rate)
    messages = fetch(job("file:a.mkv", tmp_path, pace="real", loop=True), limit=rounds * (frames + 2))
    arrived = [message.arrived_s for message in pictures(messages)]
    assert len(arrived) == rounds * frames
    assert arrived[-1] - arrived[0] >= least_s


def test_a_file_that_breaks_off_ends_with_a_warning(tmp_path: Path) -> None:
    data = make_video(tmp_path / "whole.mkv", frames=60).read_bytes()
    (tmp_path / "half.mkv").write_bytes(data[: len(data) // 2])
    messages = fetch(job("file:half.mkv", tmp_path))
    assert 5 < len(pictures(messages)) < 60
    assert isinstance(messages[-1], Ended | Failed)


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_are_unreadable(tmp_path: Path, seed: int) -> None:
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(seed).bytes(20_000))
    (last,) = fetch(job("file:noise.mp4", tmp_path))
    assert isinstance(last, Failed)
    assert last.cause is Cause.UNREADABLE


def test_real_files_give_frames_or_a_reason(shared_data: Path) -> None:
    root = shared_data / "video_samples"
    paths = sorted(path for path in root.rglob("*") if path.suffix in (".mov", ".avi") or path.name == "corrupted.mp4")
    assert len(paths) >= 7
    for path in paths:
        *_, last = messages = fetch(job(f"file:{path.relative_to(root)}", root))
        assert isinstance(last, Ended), path
        assert pictures(messages), path


def test_frames_that_are_too_large_are_not_decoded(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4")
    (last,) = fetch(job("file:a.mp4", tmp_path, max_pixels=64 * 48 - 1))
    assert isinstance(last, Failed)
    assert last.cause is Cause.UNREADABLE


def test_a_file_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "a.mp4")
    assert fetch(job("file:../a.mp4", tmp_path / "in")) == [
        Failed(Cause.REFUSED, "there is no such file in the directories that sources may read")
    ]


def test_a_playlist_file_opens_no_other_file(tmp_path: Path) -> None:
    make_video(tmp_path / "a.ts", codec="mpeg4")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n")
    (last,) = fetch(job("file:list.m3u8", tmp_path))
    assert isinstance(last, Failed)


def test_a_device_that_is_none_fails(tmp_path: Path) -> None:
    (last,) = fetch(job("device:/dev/null", policy=SourcePolicy(devices=(Path("/dev/null"),))))
    assert isinstance(last, Failed)
    assert last.cause is not Cause.CRASHED


def test_a_camera_is_stamped_on_arrival_and_ends_as_lost() -> None:
    with Camera(rate_hz=50) as camera:

        async def run() -> list[WorkerMessage]:
            messages: list[WorkerMessage] = []
            async with Connection(job(camera.url)) as connection:
                async for message in connection.messages():
                    messages.append(message)
                    if len(messages) == 10:
                        await asyncio.to_thread(camera.off)
            return messages

        opened, *middle, last = asyncio.run(run())
    assert opened == Opened(64, 48, "mpjpeg", live=True)
    assert {message.media_s for message in pictures(middle)} == {None}
    assert all(message.image.std() > 10 for message in pictures(middle))
    assert isinstance(last, Failed)
    assert last.cause is Cause.CLOSED


def test_a_camera_may_change_its_size() -> None:
    with Camera(rate_hz=50) as camera:

        async def run() -> int:
            seen = 0
            async with Connection(job(camera.url)) as connection:
                async for message in connection.messages():
                    assert isinstance(message, Opened | FetchedFrame), message
                    seen += 1
                    if seen == 5:
                        camera.width, camera.height = 200, 120
                    if seen == 30:
                        break
            return seen

        assert asyncio.run(run()) == 30


def test_a_file_over_http_ends_in_order(tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.mkv", frames=10, rate=30).read_bytes()
    with serving(lambda request: reply(request, data, "video/x-matroska")) as port:
        messages = fetch(job(f"http://127.0.0.1:{port}/a.mkv"))
    assert len(pictures(messages)) == 10
    assert messages[-1] == Ended()


def test_a_film_with_its_index_at_the_end_plays_over_http(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=40, rate=30, size=(240, 320))
    data = path.read_bytes()
    assert data.index(b"moov") > data.index(b"mdat")
    with serving(lambda request: reply_in_parts(request, data)) as port:
        *middle, last = fetch(job(f"http://127.0.0.1:{port}/a.mp4"))
    local = pictures(fetch(job("file:a.mp4", tmp_path)))
    assert last == Ended()
    assert len(pictures(middle)) == 40
    for one, other in zip(pictures(middle), local, strict=True):
        np.testing.assert_array_equal(one.image, other.image)


def test_a_film_without_a_duration_ends_over_http(tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.mkv", frames=10, rate=30, live="1").read_bytes()
    with serving(lambda request: reply(request, data, "video/x-matroska")) as port:
        *middle, last = fetch(job(f"http://127.0.0.1:{port}/a.mkv"))
    assert (len(pictures(middle)), last) == (10, Ended())


@pytest.mark.parametrize("over_http", [False, True])
def test_frames_of_a_damaged_transport_stream_are_left_out_and_said(tmp_path: Path, over_http: bool) -> None:
    film = make_film(tmp_path / "a.ts", quiet_scene(90), 25.0, "mpeg4", "yuv420p", options={"g": "12"}, base=_BASE)
    damaged = lose_packets(film, 0.01, seed=1)
    clean = [message.image for message in pictures(fetch(job("file:a.ts", tmp_path)))]
    if over_http:
        with serving(lambda request: reply(request, damaged.read_bytes(), "video/mp2t")) as port:
            messages = fetch(job(f"http://127.0.0.1:{port}/a.ts"))

    else:
        messages = fetch(job(f"file:{damaged.name}", tmp_path))
    assert 10 < len(pictures(messages)) < 90
    for message in pictures(messages):
        assert min(np.abs(message.image.astype(int) - image).mean() for image in clean) < 0.01
    assert isinstance(messages[-1], Ended)
    damage = sum((Counter(one.counts) for one in messages if isinstance(one, Damaged)), Counter[Damage]())
    assert damage[Damage.LOST] >= 1
    assert damage[Damage.DEPENDENT] >= 1


def test_a_file_that_breaks_off_has_failed(tmp_path: Path) -> None:
    """Its index says where frames are that are not there."""
    data = make_video(tmp_path / "a.mp4", frames=40, size=(240, 320), movflags="faststart").read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    *middle, last = fetch(job("file:half.mp4", tmp_path))
    assert 5 < len(pictures(middle)) < 40
    assert isinstance(last, Failed | Ended)
    assert isinstance(last, Failed) or last.warnings


def test_a_playlist_is_fetched_piece_by_piece_from_allowed_hosts_only(tmp_path: Path) -> None:
    pieces = {}
    for number in range(2):
        pieces[f"/{number}.ts"] = make_video(
            tmp_path / f"{number}.ts", frames=15, rate=30, codec="libx264"
        ).read_bytes()
    lists = {
        "/good.m3u8": "#EXTINF:0.5,\n0.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:0.5,\n1.ts\n",
        "/file.m3u8": f"#EXTINF:0.5,\nfile://{tmp_path}/0.ts\n",
        "/host.m3u8": "#EXTINF:0.5,\nhttp://169.254.169.254/0.ts\n",
    }
    asked: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        if request.path in pieces:
            reply(request, pieces[request.path], "video/mp2t")
        else:
            head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n"
            body = f"{head}{lists[request.path]}#EXT-X-ENDLIST\n"
            reply(request, body.encode(), "application/vnd.apple.mpegurl")

    with serving(answer) as port:
        messages = fetch(job(f"http://127.0.0.1:{port}/good.m3u8"))
        assert len(pictures(messages)) >= 25
        assert isinstance(messages[-1], Ended)
        assert "/1.ts" in asked
        for path in ("/file.m3u8", "/host.m3u8"):
            (last,) = fetch(job(f"http://127.0.0.1:{port}{path}"))
            assert isinstance(last, Failed)
            assert last.cause is Cause.REFUSED


def test_a_live_playlist_is_fetched_as_it_grows(tmp_path: Path) -> None:
    pieces = [make_video(tmp_path / f"{i}.ts", frames=15, rate=30, codec="libx264").read_bytes() for i in range(4)]
    lists = 0

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal lists
        if request.path.endswith(".ts"):
            reply(request, pieces[int(request.path[1])], "video/mp2t")
            return
        lists += 1
        known = min(1 + lists, 4)
        body = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n" + "".join(
            f"#EXT-X-DISCONTINUITY\n#EXTINF:0.5,\n{number}.ts\n" for number in range(known)
        )
        reply(request, (body + "#EXT-X-ENDLIST\n" * (lists > 3)).encode(), "application/x-mpegURL")

    with serving(answer) as port:
        messages = fetch(job(f"http://127.0.0.1:{port}/live"))
    assert lists > 2
    assert len(pictures(messages)) >= 45
    assert isinstance(messages[-1], Failed)
    assert messages[-1].cause is Cause.CLOSED  # it was live: its end is a loss


@pytest.mark.parametrize(("height", "chosen"), [(24, (64, 48)), (50, (128, 96)), (500, (128, 96))])
def test_of_a_playlists_variants_the_smallest_that_is_large_enough_is_taken(
    tmp_path: Path, height: int, chosen: tuple[int, int]
) -> None:
    small = make_video(tmp_path / "s.ts", frames=15, rate=30, codec="libx264").read_bytes()
    large = make_video(tmp_path / "l.ts", frames=15, rate=30, codec="libx264", size=(96, 128)).read_bytes()
    head = "#EXTM3U\n#EXT-X-VERSION:3\n"
    files = {
        "/master.m3u8": f"{head}#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=64x48\ns.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=128x96\nl.m3u8\n",
        "/s.m3u8": f"{head}#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\ns.ts\n#EXT-X-ENDLIST\n",
        "/l.m3u8": f"{head}#EXT-X-TARGETDURATION:1\n#EXTINF:0.5,\nl.ts\n#EXT-X-ENDLIST\n",
    }

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path in files:
            reply(request, files[request.path].encode(), "application/vnd.apple.mpegurl")
        else:
            reply(request, {"/s.ts": small, "/l.ts": large}[request.path], "video/mp2t")

    with serving(answer) as port:
        opened, *middle, last = fetch(job(f"http://127.0.0.1:{port}/master.m3u8", height=height))
    assert opened == Opened(*chosen, "hls", live=True)
    assert len(pictures(middle)) == 15
    assert last == Ended()


@pytest.mark.parametrize("at", [b"OPTIONS", b"DESCRIBE"])
def test_an_rtsp_redirect_is_not_followed(at: bytes) -> None:
    """ffmpeg would follow it, to whatever host."""
    with socket.create_server(("127.0.0.2", 0)) as forbidden, socket.create_server(("127.0.0.1", 0)) as camera:
        forbidden.settimeout(0.2)
        where = b"rtsp://user:secret@127.0.0.2:%d/" % forbidden.getsockname()[1]

        def answer() -> None:
            client, _ = camera.accept()
            with client, contextlib.suppress(ConnectionError):
                while request := client.recv(4096):
                    number = next(line for line in request.split(b"\r\n") if line.startswith(b"CSeq"))
                    status = b"302 Moved\r\nLocation: " + where if request.startswith(at) else b"200 OK"
                    client.sendall(b"RTSP/1.0 " + status + b"\r\n" + number + b"\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        (last,) = fetch(job(f"rtsp://127.0.0.1:{camera.getsockname()[1]}/live"))
        thread.join()
        with pytest.raises(TimeoutError):
            forbidden.accept()
    assert last == Failed(Cause.REFUSED, "the camera sends on to another address; give that one as the source")


def test_the_process_ends_when_the_server_is_gone() -> None:
    arrived: list[socket.socket] = []
    with silent(arrived) as port:
        process = subprocess.Popen(
            [sys.executable, "-m", "inkling.service.sources.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin
        assert process.stdout
        process.stdin.write(job(f"rtsp://127.0.0.1:{port}/x", open_s=600).model_dump_json().encode() + b"\n")
        process.stdin.flush()
        assert within(30, lambda: bool(arrived))
        process.stdin.close()
        assert within(30, lambda: process.poll() is not None)
        process.stdout.close()
