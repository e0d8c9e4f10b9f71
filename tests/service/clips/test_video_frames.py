"""Videos over REST: the timeline of a file is what a stream of its frames would get, and nothing is left behind."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from inkling.models.clock import step_frames
from inkling.models.errors import VideoError
from inkling.models.resize import fit_image
from inkling.models.video import VideoReader, to_rgb
from inkling.service.clips import jobs
from inkling.service.clips.scoring import ScoredClip
from inkling.service.clips.video_frames import VideoLimits, VideoProgress, video_frames
from inkling.service.memory_account import MemoryAccount, Share
from inkling.service.protocol.codec import Prediction, Start
from inkling.service.protocol.errors import BadClip, Cancelled, NoStorage, OverCapacity, TooLarge
from inkling.service.protocol.image_binary import ImageFrame, pack_image
from tests.films import lose_packets, make_film, pictures, quiet_scene
from tests.service.conftest import Running, hear_all, opened, running, say, tiny_settings, wait_until
from tests.service.sources.cameras import until
from tests.support import TinyFrameReference, make_bundle, make_frame_bundle

_BASE = Fraction(1, 15)
LIMITS = VideoLimits(max_pixels=10**6, max_frames=1000, threads=1)


@pytest.fixture(scope="module")
def clip_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, clip_dir: Path) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("frames")
    make_frame_bundle(root)
    make_bundle(root)
    settings = tiny_settings(
        root,
        load=("tiny-frames", "tiny"),
        clip_dir=clip_dir,
        max_video_bytes=2**23,
        max_videos=2,
        max_image_pixels=2_000_000,
        idle_timeout_s=2.0,
    )
    with running(settings) as shared:
        yield shared


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_film(tmp_path / "film.mkv", pictures(20, 60, 80))


@pytest.fixture(autouse=True)
def nothing_left(server: Running, clip_dir: Path) -> Iterator[None]:
    """No file, no stream and no slot outlives a test."""
    yield
    server.wait_idle()
    wait_until(lambda: not list(clip_dir.iterdir()))
    assert not any(stats.slots_used for stats in server.core.hub.stats())


def post(server: Running, content: Any, **query: Any) -> httpx.Response:
    parameters = {"bundle": "tiny-frames"} | query
    return httpx.post(f"{server.url}/v1/clips", params=parameters, content=content, timeout=60)


def get(server: Running, clip: str = "") -> Any:
    return httpx.get(f"{server.url}/v1/clips{clip}", timeout=30).json()


def expected(path: Path) -> np.ndarray[Any, Any]:
    """What the reference makes of every frame of a file."""
    tiny = TinyFrameReference()
    with VideoReader(path) as video:
        images = [fit_image(to_rgb(frame), tiny.height, tiny.width) for _, frame in video]
    return tiny.probabilities(np.stack(images))


def test_a_video_gives_what_the_reference_gives(server: Running, film: Path) -> None:
    answer = post(server, film.read_bytes()).json()
    assert [entry["seq"] for entry in answer["timeline"]] == list(range(20))
    np.testing.assert_allclose([entry["pts_s"] for entry in answer["timeline"]], np.arange(20) / 15, atol=1e-3)
    np.testing.assert_allclose([e["probabilities"] for e in answer["timeline"]], expected(film), atol=2e-5)
    assert (answer["bundle"], answer["warnings"]) == ("tiny-frames", [])


@pytest.mark.parametrize("rate", [10.0, 15.0, 30.0])
def test_scored_equals_streamed(server: Running, tmp_path: Path, rate: float) -> None:
    path = make_film(tmp_path / "h264.mp4", pictures(24, 60, 80), rate, "libx264", "yuv420p")
    scored = post(server, path.read_bytes()).json()["timeline"]
    with VideoReader(path) as video:
        frames = [(pts_s, to_rgb(frame)) for pts_s, frame in video]
    with opened(server, bundle="tiny-frames", input="frame", policy="block") as socket:
        for seq, (pts_s, image) in enumerate(frames):
            say(socket, pack_image(seq, image, pts_s))
        say(socket, {"type": "end"})
        heard, _ = hear_all(socket)
    streamed = [message for message in heard if isinstance(message, Prediction)]
    assert [(e["seq"], e["pts_s"]) for e in scored] == [(p.seq, p.pts_s) for p in streamed]
    np.testing.assert_allclose([e["probabilities"] for e in scored], [p.probabilities for p in streamed], atol=2e-6)
    assert len(scored) > 10


def test_a_given_frame_rate_replaces_the_files(server: Running, film: Path) -> None:
    answer = post(server, film.read_bytes(), fps=30).json()
    assert [entry["seq"] for entry in answer["timeline"]] == list(range(0, 20, 2))


@pytest.mark.parametrize("fps", ["inf", "1e5", "0", "nan"])
def test_an_impossible_frame_rate_is_refused(server: Running, film: Path, fps: str) -> None:
    answer = post(server, film.read_bytes(), fps=fps)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_message")


def test_a_file_cut_in_the_middle_gives_what_was_seen(server: Running, film: Path) -> None:
    whole = film.read_bytes()
    answer = post(server, whole[: len(whole) * 2 // 3])
    assert answer.status_code == 200
    timeline = answer.json()["timeline"]
    assert 5 < len(timeline) < 20
    np.testing.assert_allclose([e["probabilities"] for e in timeline], expected(film)[: len(timeline)], atol=2e-5)


def test_damage_becomes_a_warning(server: Running, tmp_path: Path) -> None:
    path = make_film(tmp_path / "x.avi", pictures(20, 96, 128), 15.0, "png", "rgb24")
    data = bytearray(path.read_bytes())
    middle = data.find(b"IDAT", len(data) // 2)
    data[middle : middle + 200] = bytes(200)
    answer = post(server, bytes(data)).json()
    assert len(answer["timeline"]) >= 18
    assert "could not be decoded" in answer["warnings"][0]


@pytest.mark.parametrize(
    ("content", "query", "status", "code"),
    [
        (b"hello, this is no video at all", {}, 422, "bad_clip"),
        (np.random.default_rng(1).bytes(30_000), {}, 422, "bad_clip"),
        (b"#EXTM3U\n#EXTINF:10,\nfile:///etc/hostname\n", {}, 422, "bad_clip"),
        (b"", {}, 422, "bad_clip"),
        (b"\0" * (2**23 + 1), {}, 413, "too_large"),
        (b"anything", {"bundle": "nobody"}, 404, "unknown_bundle"),
        (b"anything", {"bundle": "tiny"}, 422, "bad_clip"),
        (b"anything", {"fps": 0}, 422, "bad_message"),
        (b'{"fps": 15, "people": [{"track": 1, "keypoints": [[[1, 2, 1]]]}]}', {}, 415, "unsupported_input"),
    ],
)
def test_what_is_no_video_or_fits_no_bundle_is_a_typed_error(
    server: Running, content: bytes, query: dict[str, Any], status: int, code: str
) -> None:
    answer = post(server, content, **query)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_frames_beyond_the_pixel_limit_are_refused(server: Running, tmp_path: Path) -> None:
    path = make_film(tmp_path / "huge.mkv", pictures(2, 1200, 1700))
    answer = post(server, path.read_bytes())
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_clip")
    assert "1700 x 1200 pixels" in answer.json()["message"]


def test_a_form_is_told_to_send_the_file_itself(server: Running, film: Path) -> None:
    address = f"{server.url}/v1/clips?bundle=tiny-frames"
    answer = httpx.post(address, files={"file": film.read_bytes()}, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_message")
    assert "--data-binary" in answer.json()["message"]


def test_a_body_without_a_length_is_bounded_too(server: Running) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(2**23 // 65536 + 2):
            yield b"\x01" * 65536

    answer = post(server, chunks())
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("begin", [b"\x1aE\xdf\xa3 and then nothing", b'{"fps": 30, "people": [', b" "])
def test_a_sender_that_stalls_is_given_up(server: Running, begin: bytes) -> None:
    release = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield begin
        release.wait(30)

    answers: list[httpx.Response | httpx.TransportError] = []

    def send() -> None:
        try:
            answers.append(post(server, chunks()))
        except httpx.TransportError as error:  # the server had answered and closed before all was sent
            answers.append(error)

    before = server.core.metrics.errors["idle_timeout"]
    thread = threading.Thread(target=send)
    thread.start()
    wait_until(lambda: server.core.metrics.errors["idle_timeout"] > before)
    release.set()
    thread.join()


def test_a_clip_that_is_not_waited_for_can_be_asked_about(server: Running, film: Path) -> None:
    answer = post(server, film.read_bytes(), wait=False)
    assert answer.status_code == 202
    clip = answer.json()["clip"]
    wait_until(lambda: get(server, f"/{clip}")["state"] == "done")
    status = get(server, f"/{clip}")
    assert (status["frames"], status["progress"], status["bytes"]) == (20, 1.0, film.stat().st_size)
    assert status["result"] == post(server, film.read_bytes()).json()
    assert clip in [one["clip"] for one in get(server)]
    assert httpx.delete(f"{server.url}/v1/clips/{clip}").status_code == 204
    gone = httpx.get(f"{server.url}/v1/clips/{clip}")
    assert (gone.status_code, gone.json()["code"]) == (404, "unknown_clip")


def test_a_timeline_that_was_waited_for_is_not_kept(server: Running, film: Path) -> None:
    assert post(server, film.read_bytes()).status_code == 200
    status = get(server, f"/{get(server)[-1]['clip']}")
    assert status["state"] == "done"
    assert "result" not in status


def test_only_so_many_predictions_are_remembered(server: Running, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "KEEP_PREDICTIONS", 50)
    clips = []
    for _ in range(4):
        clips.append(post(server, film.read_bytes(), wait=False).json()["clip"])
        wait_until(lambda clip=clips[-1]: get(server, f"/{clip}")["state"] == "done")  # type: ignore[misc]
    assert [one["clip"] for one in get(server)][-2:] == clips[-2:]
    assert not {clips[0], clips[1]} & {one["clip"] for one in get(server)}


def test_a_failed_clip_says_why_when_asked(server: Running) -> None:
    clip = post(server, b"\x1aE\xdf\xa3 no video, sorry", wait=False).json()["clip"]
    wait_until(lambda: get(server, f"/{clip}")["state"] == "failed")
    assert get(server, f"/{clip}")["error"]["code"] == "bad_clip"


@pytest.fixture
def long_film(tmp_path: Path) -> Path:
    """Takes a second or so to score: time enough to watch it."""
    return make_film(tmp_path / "long.mp4", pictures(5, 480, 640) * 60, 15.0, "mpeg4", "yuv420p", base=_BASE)


def test_progress_can_be_read_and_the_clip_cancelled(server: Running, long_film: Path) -> None:
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(post(server, long_film.read_bytes())))
    thread.start()
    wait_until(lambda: any(one["state"] == "scoring" and one["frames"] > 0 for one in get(server)))
    running_now = next(one for one in get(server) if one["state"] == "scoring")
    assert 0 <= running_now["progress"] < 1
    assert httpx.delete(f"{server.url}/v1/clips/{running_now['clip']}").status_code == 204
    thread.join()
    assert (answers[0].status_code, answers[0].json()["code"]) == (409, "cancelled")
    assert get(server, f"/{running_now['clip']}")["state"] == "cancelled"


def test_a_client_that_goes_away_takes_its_clip_along(server: Running, long_film: Path) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.url}/v1/clips?bundle=tiny-frames",
            content=long_film.read_bytes(),
            timeout=httpx.Timeout(10.0, read=0.15),
        )
    wait_until(lambda: get(server)[-1]["state"] in ("cancelled", "done"))
    assert get(server)[-1]["state"] == "cancelled"


def held(limit: int = 2**28) -> Share:
    return MemoryAccount(limit).share("videos")


def jobs_of(server: Running, clip_dir: Path) -> jobs.VideoJobs:
    return jobs.VideoJobs(
        server.core.hub, LIMITS, max_jobs=1, max_bytes=100, max_s=60.0, scored=lambda _: None, directory=clip_dir
    )


async def two_parts() -> AsyncIterator[bytes]:
    yield b"no vi"
    await asyncio.sleep(0)
    yield b"deo"


def test_a_clip_cancelled_before_its_task_has_begun_has_ended(server: Running, clip_dir: Path) -> None:
    async def run() -> None:
        jobs = jobs_of(server, clip_dir)
        job = await jobs.receive(two_parts(), Start(bundle="tiny-frames", input="frame", policy="block"), None)
        jobs.cancel(job.id)
        with pytest.raises(Cancelled):
            await jobs.result(job)
        assert job.state == "cancelled"
        assert job.ended_s is not None
        await jobs.receive(two_parts(), job.start, None)  # there is room again
        await jobs.stop()

    asyncio.run(run())


def test_a_clip_cancelled_at_the_end_of_its_upload_is_not_scored(server: Running, clip_dir: Path) -> None:
    async def run() -> None:
        jobs = jobs_of(server, clip_dir)

        async def body() -> AsyncIterator[bytes]:
            yield b"no video"
            jobs.cancel(jobs.all()[0].id)

        with pytest.raises(Cancelled):
            await jobs.receive(body(), Start(bundle="tiny-frames", input="frame", policy="block"), None)
        assert not jobs.all()

    asyncio.run(run())


def test_a_directory_that_cannot_be_written_takes_no_place_and_says_what_to_do(
    server: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        gone = tmp_path / "gone"
        jobs = jobs_of(server, gone)
        assert "no videos can be scored" in caplog.text
        start = Start(bundle="tiny-frames", input="frame", policy="block")
        for _ in range(5):
            with pytest.raises(NoStorage, match="clip_dir"):
                await jobs.receive(two_parts(), start, None)
        assert jobs.all() == []
        gone.mkdir()
        await jobs.receive(two_parts(), start, None)
        await jobs.stop()

    asyncio.run(run())


def test_a_full_disk_is_said_and_takes_no_place(
    server: Running, clip_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        jobs = jobs_of(server, clip_dir)
        monkeypatch.setattr(jobs, "_new_file", lambda: Path("/dev/full").open("wb"))  # noqa: SIM115
        for _ in range(3):
            with pytest.raises(NoStorage, match="No space left"):
                await jobs.receive(two_parts(), Start(bundle="tiny-frames", input="frame", policy="block"), None)
        assert jobs.all() == []

    asyncio.run(run())


def test_slow_senders_hold_no_place(server: Running, clip_dir: Path) -> None:
    async def run() -> None:
        jobs, release = jobs_of(server, clip_dir), asyncio.Event()
        start = Start(bundle="tiny-frames", input="frame", policy="block")

        async def slow() -> AsyncIterator[bytes]:
            yield b"x"
            await release.wait()

        senders = [asyncio.create_task(jobs.receive(slow(), start, None)) for _ in range(8)]
        await until(lambda: len(jobs.all()) == 8)
        with pytest.raises(OverCapacity, match="being sent"):
            await jobs.receive(two_parts(), start, None)
        senders.pop().cancel()
        await until(lambda: len(jobs.all()) == 7)
        job = await jobs.receive(two_parts(), start, None)
        with pytest.raises(BadClip):
            await jobs.result(job)
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)
        await jobs.stop()

    asyncio.run(run())


def test_a_video_has_so_much_time(server: Running, clip_dir: Path, long_film: Path) -> None:
    body = long_film.read_bytes()

    async def run() -> None:
        jobs_ = jobs.VideoJobs(
            server.core.hub, LIMITS, max_jobs=1, max_bytes=2**24, max_s=0.05, scored=lambda _: None, directory=clip_dir
        )

        async def whole() -> AsyncIterator[bytes]:
            yield body

        job = await jobs_.receive(whole(), Start(bundle="tiny-frames", input="frame", policy="block"), None)
        with pytest.raises(TooLarge, match="not scored within"):
            await jobs_.result(job)

    asyncio.run(run())


def test_a_video_that_cannot_be_scored_in_time_is_given_up_early(
    server: Running, clip_dir: Path, long_film: Path
) -> None:
    body = long_film.read_bytes()
    seconds = itertools.count(0.0, 5.0)  # each look at the clock is five later

    async def run() -> None:
        jobs_ = jobs.VideoJobs(
            server.core.hub, LIMITS, max_jobs=1, max_bytes=2**24, max_s=60.0, scored=lambda _: None,
            directory=clip_dir, clock=lambda: next(seconds),
        )  # fmt: skip

        async def whole() -> AsyncIterator[bytes]:
            yield body

        job = await jobs_.receive(whole(), Start(bundle="tiny-frames", input="frame", policy="block"), None)
        with pytest.raises(TooLarge, match="at this rate the video takes"):
            await jobs_.result(job)
        assert next(seconds) < 100, "after a few frames, not after all"

    asyncio.run(run())


def test_more_videos_at_once_than_allowed_are_refused_at_once(server: Running, long_film: Path) -> None:
    body = long_film.read_bytes()
    clips = [post(server, body, wait=False).json()["clip"] for _ in range(2)]
    refused = post(server, body)
    assert (refused.status_code, refused.json()["code"]) == (503, "over_capacity")
    for clip in clips:
        httpx.delete(f"{server.url}/v1/clips/{clip}")
        # None: it was done before it could be cancelled, and is forgotten.
        wait_until(lambda clip=clip: get(server, f"/{clip}").get("state") in ("cancelled", None))  # type: ignore[misc]


# -- the feed, without a server -----------------------------------------------------------------------------------
def collect(
    path: Path, limits: VideoLimits = LIMITS, fps: float | None = None
) -> tuple[list[ImageFrame], VideoProgress]:
    progress = VideoProgress()

    async def run() -> list[ImageFrame]:
        return [frame async for frame in video_frames(path, limits, progress, held(), fps)]

    return asyncio.run(run()), progress


def test_frames_are_numbered_timed_and_not_converted_before_they_are_wanted(film: Path) -> None:
    frames, progress = collect(film)
    assert [frame.seq for frame in frames] == list(range(20))
    assert all(callable(frame.image) for frame in frames)
    assert (progress.frames, progress.warnings) == (20, [])
    assert progress.share == pytest.approx(1, abs=0.1)


def test_too_many_frames_are_an_error(film: Path) -> None:
    with pytest.raises(TooLarge, match="19 frames"):
        collect(film, VideoLimits(10**6, 19, 1))
    assert len(collect(film, VideoLimits(10**6, 20, 1))[0]) == 20


def test_a_file_that_is_not_there_is_a_bad_clip(tmp_path: Path) -> None:
    with pytest.raises(BadClip):
        collect(tmp_path / "nothing.mp4")


def step_frames_once(pts: list[float]) -> list[int]:
    """The frames that a clock of 15 Hz steps, those that it holds counted once."""
    return sorted(set(step_frames(pts, 15.0)))


# -- public files -------------------------------------------------------------------------------------------------
@pytest.mark.shared_data
def test_every_public_file_is_answered(server: Running, shared_data: Path) -> None:
    files = [path for path in sorted((shared_data / "video_samples").rglob("*")) if path.is_file()]
    assert len(files) >= 12
    for path in files:
        answer = post(server, path.read_bytes())
        try:
            with VideoReader(path) as video:
                pts = [pts_s for pts_s, _ in video]
        except VideoError:
            assert (answer.status_code, answer.json()["code"]) == (422, "bad_clip"), path
            continue
        assert answer.status_code == 200, (path, answer.text)
        timeline = json.loads(answer.text)["timeline"]
        assert timeline[-1]["pts_s"] == pytest.approx(pts[-1], abs=0.1), path
        assert [entry["seq"] for entry in timeline] == step_frames_once(pts), path


def ended(owner: str, number: int, predictions: int = 0) -> jobs.VideoJob:
    job = jobs.VideoJob(f"{owner}{number}", jobs.ClipOwner(owner), Start(bundle="tiny-frames", input="frame"), None)
    job.timeline = ScoredClip(None, [None] * predictions, [], [], [])  # type: ignore[arg-type, list-item]
    return job


def test_of_too_many_remembered_clips_the_one_who_keeps_most_loses_the_oldest() -> None:
    clips = [ended("a", 0), *(ended("b", number) for number in range(jobs.KEEP_JOBS))]
    gone = jobs.crowded_out(clips)
    assert gone is clips[1]
    assert jobs.crowded_out([job for job in clips if job is not gone]) is None


def test_long_timelines_weigh_more_and_the_last_clip_of_all_stays() -> None:
    clips = [ended("a", 0), ended("a", 1), ended("b", 0, jobs.KEEP_PREDICTIONS + 1)]
    assert jobs.crowded_out(clips) is clips[2]
    assert jobs.crowded_out(clips[2:]) is None


def test_damaged_frames_of_a_clip_are_said_and_counted_by_cause(server: Running, tmp_path: Path) -> None:
    def counted(cause: str) -> float:
        name = f'inkling_clip_frames_damaged_total{{cause="{cause}"}} '
        (line,) = (line for line in httpx.get(f"{server.url}/metrics").text.splitlines() if line.startswith(name))
        return float(line.removeprefix(name))

    film = make_film(
        tmp_path / "a.ts", quiet_scene(90), 25.0, "mpeg4", "yuv420p", options={"g": "12"}, base=Fraction(1, 25)
    )
    before = {cause: counted(cause) for cause in ("lost", "dependent", "broken")}
    answer = post(server, lose_packets(film, 0.01, seed=1).read_bytes(), bundle="tiny-frames")
    assert "damaged frames were left out" in answer.json()["warnings"][0]
    more = {cause: counted(cause) - count for cause, count in before.items()}
    assert more["lost"] >= 1
    assert more["dependent"] >= 1
    assert answer.json()["warnings"][0].startswith(f"{sum(more.values()):.0f} damaged frames")
