"""Clips are read with the same numbers here and in the process beside, and whatever becomes of it is a typed error."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from inkling.service.clips import clip_reader
from inkling.service.clips.clip_reader import INLINE, ClipReader
from inkling.service.clips.pose_arrays import PoseClip, TrackedClip
from inkling.service.clips.pose_clip import parse_clip
from inkling.service.memory_account import MIB, MemoryAccount
from inkling.service.protocol.errors import BadClip, OverCapacity, TooLarge
from tests.service.clips.test_pose_clip import as_npz
from tests.service.sources.cameras import until

MAX = {"max_bytes": 16 * MIB, "max_frames": 100_000}
Read = Callable[[bytes], Awaitable[PoseClip | TrackedClip]]


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 65536):
        yield body[at : at + 65536]


def with_reader(use: Callable[[ClipReader, Read], Awaitable[None]], limit: int = 256 * MIB) -> MemoryAccount:
    """Run `use` with a reader and a call that reads; insists that all memory is given back."""
    account = MemoryAccount(limit)

    async def run() -> None:
        reader = ClipReader(account.share("clips"), **MAX)

        async def read(body: bytes) -> PoseClip | TrackedClip:
            with account.share("clips") as held:
                clip = await reader.read(pieces(body), held)
                assert held.bytes == clip.bytes
                return clip

        try:
            await use(reader, read)
        finally:
            await reader.close()

    asyncio.run(run())
    assert account.promised["clips"] == 0
    return account


def long_json(frames: int = 1500, **more: Any) -> bytes:
    rng = np.random.default_rng(0)
    people = [
        {"track": track, "keypoints": [None, *rng.uniform(0, 999, (frames - 1, 13, 3)).round(2).tolist()]}
        for track in (3, "Ann")
    ]
    return json.dumps({"skeleton": "body13", "fps": 30, "width": 640, "height": 480, "people": people} | more).encode()


def assert_same(one: PoseClip | TrackedClip, other: PoseClip | TrackedClip) -> None:
    if isinstance(one, TrackedClip):
        assert isinstance(other, TrackedClip)
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
        np.testing.assert_array_equal(one.tracks, other.tracks)
        np.testing.assert_array_equal(one.times, other.times)
        return
    assert isinstance(other, PoseClip)
    assert list(one.people) == list(other.people)
    for track in one.people:
        np.testing.assert_array_equal(one.people[track], other.people[track])
        np.testing.assert_array_equal(one.present[track], other.present[track])
        assert one.people[track].dtype == np.float32
        assert one.present[track].dtype == np.bool_
    np.testing.assert_array_equal(one.pts_s, other.pts_s)
    assert (one.skeleton, one.width, one.height, one.warnings) == (
        *(other.skeleton, other.width, other.height, other.warnings),
    )


def process_of(reader: ClipReader) -> int:
    assert reader._worker is not None
    return reader._worker.process.pid


def test_large_clips_of_every_kind_have_the_same_numbers_as_small_ones_are_read_with() -> None:
    keypoints = np.random.default_rng(1).normal(size=(9000, 13, 3))
    people = {"tracks": np.arange(9000) % 3, "pts_s": np.arange(9000) // 3 / 15, "skeleton": np.array("body13")}
    bodies = [
        as_npz(keypoints=keypoints, **people),
        long_json(),
        as_npz(keypoints=keypoints, fps=15),
        as_npz(keypoints=keypoints, pts_s=np.arange(9000) / 9),
    ]

    async def use(reader: ClipReader, read: Read) -> None:
        pids = set()
        for body in bodies:
            assert len(body) > INLINE
            assert_same(await read(body), parse_clip(body, **MAX))
            pids.add(process_of(reader))
        assert len(pids) == 1, "one process is kept warm"

    with_reader(use)


def test_a_small_clip_starts_no_process_unless_it_is_large_inside() -> None:
    small = long_json(20)
    nulls = json.dumps({"fps": 1, "people": [{"track": 1, "keypoints": [[[0.0] * 3] * 500] + [None] * 1000}]}).encode()

    async def use(reader: ClipReader, read: Read) -> None:
        assert_same(await read(small), parse_clip(small, **MAX))
        assert reader._worker is None
        assert len(nulls) < INLINE
        assert_same(await read(nulls), parse_clip(nulls, **MAX))
        assert reader._worker is not None

    with_reader(use)


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (b"{" + b" " * INLINE, BadClip, "not JSON"),
        (long_json(fps="fast"), BadClip, "fps"),
        (long_json() + b"x" * 16 * MIB, TooLarge, "at most 16777216 bytes"),
        (b'{"people":[{"track":1,"keypoints":[' + b"[[0]]," * 120_000, TooLarge, "100000 frames"),
    ],
)
def test_what_is_wrong_with_a_large_clip_is_said_as_of_a_small_one(
    body: bytes, error: type[Exception], said: str
) -> None:
    async def use(reader: ClipReader, read: Read) -> None:
        with pytest.raises(error, match=said):
            await read(body)
        await read(long_json())  # the same process reads on

    with_reader(use)


def test_a_process_that_dies_fails_its_clip_and_the_next_one_gets_another() -> None:
    async def use(reader: ClipReader, read: Read) -> None:
        await read(long_json())
        first = process_of(reader)
        os.kill(first, signal.SIGSTOP)  # so that it dies with the clip in its hands
        reading = asyncio.ensure_future(read(long_json()))
        await until(lambda: reader._worker is not None and reader._worker.jobs == 2)
        os.kill(first, signal.SIGKILL)
        with pytest.raises(BadClip, match="could not read"):
            await reading
        await read(long_json())
        assert process_of(reader) != first

    with_reader(use)


def test_reading_has_so_much_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_reader, "READ_S", 0.05)

    async def use(reader: ClipReader, read: Read) -> None:
        with pytest.raises(TooLarge, match=r"more than 0\.05 s"):
            await read(long_json())
        assert reader._worker is None

    with_reader(use)


def test_a_clip_that_takes_more_memory_than_it_may_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_reader, "SLACK", 0)
    monkeypatch.setattr(clip_reader, "USUAL", 0.1)
    monkeypatch.setattr(clip_reader, "MOST", 0.05)

    async def use(reader: ClipReader, read: Read) -> None:
        with pytest.raises(TooLarge, match="send it in parts"):
            await read(long_json(20_000))

    with_reader(use)


def test_a_clip_for_which_there_is_no_memory_now_is_refused_and_one_that_never_fits_is_too_large() -> None:
    async def use(reader: ClipReader, read: Read) -> None:
        with pytest.raises(TooLarge, match="max_promised_bytes"):
            await read(long_json())

    with_reader(use, limit=32 * MIB)

    async def crowded() -> None:
        account = MemoryAccount(64 * MIB)
        reader = ClipReader(account.share("clips"), **MAX)
        with account.share("videos") as others, account.share("clips") as held:
            others.take(40 * MIB)
            with pytest.raises(OverCapacity):
                await reader.read(pieces(long_json()), held)
        await reader.close()
        assert sum(account.promised.values()) == 0

    asyncio.run(crowded())


def test_a_process_is_replaced_after_many_clips_and_ended_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_reader, "JOBS", 2)
    monkeypatch.setattr(clip_reader, "IDLE_S", 0.05)
    body = long_json()

    async def use(reader: ClipReader, read: Read) -> None:
        await read(body)
        first = process_of(reader)
        await read(body)
        assert reader._worker is None
        await read(body)
        second = process_of(reader)
        assert second != first
        await until(lambda: reader._worker is None and not reader._ending)
        with pytest.raises(ProcessLookupError):
            os.kill(second, 0)

    with_reader(use)
