from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.service.sources.failure import Failure
from inkling.service.sources.fetch_request import Spool
from inkling.service.sources.http_reader import ResponseBody
from inkling.service.sources.lifecycle import Cause
from inkling.service.sources.pipe import Ended, Failed, Fetching, Opened
from inkling.service.sources.spool import fetch_whole
from tests.service.sources.cameras import make_video, reply, serving
from tests.service.sources.test_camera_pictures import send
from tests.service.sources.test_sniff import body
from tests.service.sources.test_worker import fetch, job, pictures


def ignore(size: int, length: int | None) -> None:
    pass


@pytest.mark.parametrize("length", [True, False])
def test_a_body_becomes_a_file_that_nobody_else_sees(tmp_path: Path, length: bool) -> None:
    data = np.random.default_rng(0).bytes(300_000)
    told: list[tuple[int, int | None]] = []

    def tell(size: int, of_all: int | None) -> None:
        told.append((size, of_all))
        assert not any(tmp_path.iterdir())

    with body(data, "video/mp4", length) as answer:
        answer.peek(1000)
        with fetch_whole(answer, Spool(300_000, tmp_path), tell) as file:
            assert file.read() == data
            assert not any(tmp_path.iterdir())
    assert told[0][1] == (300_000 if length else None)


@pytest.mark.parametrize("length", [True, False])
def test_one_that_is_too_large_is_refused_and_says_what_would_help(tmp_path: Path, length: bool) -> None:
    with body(bytes(300_000), "video/mp4", length) as answer, pytest.raises(Failure) as caught:
        fetch_whole(answer, Spool(299_999, tmp_path), ignore)
    assert caught.value.cause is Cause.TOO_LARGE
    assert "max_video_bytes" in str(caught.value)
    assert "faststart" in str(caught.value)


def test_a_full_disk_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    directory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else tmp_path  # noqa: S108 -- of known size
    with body(b"begin", "video/mp4") as answer:
        answer.length = shutil.disk_usage(directory).free + 2**32
        assert_no_storage(answer, Spool(2**50, directory))


def test_a_directory_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    with body(b"begin", "video/mp4") as answer:
        assert_no_storage(answer, Spool(2**50, tmp_path / "missing"))


def assert_no_storage(answer: ResponseBody, spool: Spool) -> None:
    with pytest.raises(Failure, match="clip_dir") as caught:
        fetch_whole(answer, spool, ignore)
    assert caught.value.cause is Cause.NO_STORAGE


def play(path: Path, length: bool, **options: Any) -> list[Any]:
    """Everything that is said of a recording whose server gives no parts of it."""
    data = path.read_bytes()

    def answer(request: Any) -> None:
        reply(request, data) if length else send(request, [data], "video/mp4")

    with serving(answer) as port:
        return list(fetch(job(f"http://127.0.0.1:{port}/a.mp4", **options)))


@pytest.mark.parametrize("length", [True, False])
def test_a_recording_with_its_index_at_the_end_plays_without_parts(tmp_path: Path, length: bool) -> None:
    path = make_video(tmp_path / "a.mp4", frames=20, rate=30, size=(240, 320))
    (tmp_path / "spool").mkdir()
    fetching, opened, *middle, last = play(path, length, spool=Spool(2**20, tmp_path / "spool"))
    assert isinstance(fetching, Fetching)
    assert isinstance(opened, Opened)
    local = pictures(fetch(job("file:a.mp4", tmp_path)))
    assert last == Ended()
    for one, other in zip(pictures(middle), local, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
    assert not any((tmp_path / "spool").iterdir())


def test_one_with_its_index_at_the_front_is_not_fetched_first(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=20, rate=30, movflags="faststart")
    opened, *middle, last = play(path, True, spool=Spool(1))
    assert isinstance(opened, Opened)
    assert (len(pictures(middle)), last) == (20, Ended())


def test_the_refusal_reaches_the_server(tmp_path: Path) -> None:
    (last,) = play(make_video(tmp_path / "a.mp4", frames=20, rate=30), True, spool=Spool(1000))
    assert isinstance(last, Failed)
    assert last.cause is Cause.TOO_LARGE
