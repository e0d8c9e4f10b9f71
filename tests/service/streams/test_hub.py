from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inkling.models.bundle import Bundle, load
from inkling.models.errors import BundleInvalid
from inkling.service.memory_account import MIB, MemoryAccount
from inkling.service.protocol.codec import (
    EncodedImage,
    End,
    ErrorMessage,
    Flush,
    Flushed,
    Outgoing,
    PackedPose,
    Prediction,
    Ready,
    Start,
    Summary,
    decode,
)
from inkling.service.protocol.errors import Draining, OutOfOrder, OverCapacity, UnknownBundle, UnsupportedInput
from inkling.service.protocol.image_binary import pack_image
from inkling.service.streams.admitted_stream import AdmittedStream
from inkling.service.streams.hub import Hub
from inkling.service.streams.limits import Limits
from inkling.service.streams.observer import BatchReport
from tests.service.rig import PlainTrack, body, tiny
from tests.support import TinyReference, make_frame_bundle

ERROR = 1e-5
STEP_S = 1 / 15


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles"))


class Reports:
    def __init__(self) -> None:
        self.batches: list[BatchReport] = []
        self.threads: set[int] = set()

    def batch(self, report: BatchReport) -> None:
        self.batches.append(report)
        self.threads.add(threading.get_ident())


def with_hub(
    bundles: list[Bundle], use: Callable[[Hub], Awaitable[None]], limits: Limits | None = None, observer: Any = None
) -> None:
    """Run `use` on a loop with a started hub; every engine thread must be gone afterwards."""
    before = threading.active_count()

    async def main() -> None:
        hub = Hub(limits, observer, threads=1)
        for bundle in bundles:
            hub.load(bundle)
        hub.start(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(60):
                await use(hub)
        finally:
            await hub.stop()
            await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(main())
    assert threading.active_count() == before


def unheard(message: Outgoing) -> None:
    pass


def pose(seq: int, seed: int | None = None) -> PackedPose:
    return PackedPose(seq, seq * STEP_S, [1], body(seq if seed is None else seed)[None])


async def play(handle: AdmittedStream, seeds: range) -> None:
    for seq, seed in enumerate(seeds):
        await handle.writable()
        handle.receive(pose(seq, seed))
    handle.receive(End())
    await handle.finished()


def test_many_streams_together_equal_each_one_alone(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        heard: list[list[Outgoing]] = [[] for _ in range(20)]
        handles = [hub.open(Start(bundle="tiny", policy="block"), messages.append) for messages in heard]
        await asyncio.gather(*(play(handle, range(100 * i, 100 * i + 40)) for i, handle in enumerate(handles)))
        for i, messages in enumerate(heard):
            assert isinstance(messages[0], Ready)
            assert isinstance(messages[-1], Summary)
            predictions = [m for m in messages if isinstance(m, Prediction)]
            plain = PlainTrack(TinyReference())
            assert [p.seq for p in predictions] == list(range(40))
            for seq, prediction in enumerate(predictions):
                assert prediction.probabilities == pytest.approx(plain.step(body(100 * i + seq), 0), abs=ERROR)
        assert hub.streams() == []
        stats = hub.stats()[0]
        assert (stats.slots_used, stats.streams, stats.counts.stepped) == (0, 0, 800)

    with_hub([bundle], use)


def test_a_stream_over_capacity_is_refused_at_once_and_admitted_when_one_has_left(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        heard: list[Outgoing] = []
        first = hub.open(Start(bundle="tiny"), heard.append)
        hub.open(Start(bundle="tiny"), heard.append)
        told = len(heard)
        with pytest.raises(OverCapacity, match="all 2 streams"):
            hub.open(Start(bundle="tiny"), heard.append)
        assert len(heard) == told
        first.close("disconnected")
        hub.open(Start(bundle="tiny"), heard.append)
        assert len(hub.streams()) == 2

    with_hub([bundle], use, Limits(max_streams=2))


def test_bundles_are_found_by_name_and_version_the_newest_by_default(bundle: Bundle, tmp_path: Path) -> None:
    others = [tiny(tmp_path, version=version) for version in ("10", "9.1")] + [tiny(tmp_path, name="another")]

    async def use(hub: Hub) -> None:
        assert [(spec.name, spec.version) for spec in hub.bundles()] == [
            ("another", "1"), ("tiny", "10"), ("tiny", "9.1"), ("tiny", "1"),
        ]  # fmt: skip
        assert [stats.spec for stats in hub.stats()] == hub.bundles()
        heard: list[Outgoing] = []
        assert hub.open(Start(bundle="tiny"), heard.append).spec.version == "10"
        assert hub.open(Start(bundle="tiny", version="1"), heard.append).spec.version == "1"
        with pytest.raises(UnknownBundle, match=r"'tiny' has no version '2' here; loaded: 10, 9\.1, 1"):
            hub.open(Start(bundle="tiny", version="2"), heard.append)
        with pytest.raises(UnknownBundle, match="no bundle 'dance' here; loaded: another, tiny"):
            hub.open(Start(bundle="dance"), heard.append)
        assert len(hub.streams()) == 2

    with_hub([bundle, *others], use)


def test_a_bundle_is_loaded_once_also_while_serving(bundle: Bundle, tmp_path: Path) -> None:
    late = tiny(tmp_path, name="late", seed=4)

    async def use(hub: Hub) -> None:
        with pytest.raises(BundleInvalid, match="loaded already"):
            hub.load(bundle)
        await asyncio.to_thread(hub.load, late)
        heard: list[Outgoing] = []
        await play(hub.open(Start(bundle="late", policy="block"), heard.append), range(3))
        expected = PlainTrack(TinyReference(seed=4)).step(body(0), 0)
        predictions = [m for m in heard if isinstance(m, Prediction)]
        assert predictions[0].probabilities == pytest.approx(expected, abs=ERROR)

    with_hub([bundle], use)


def test_what_a_bundle_does_not_take_is_refused_and_leaves_nothing(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        for start in (Start(bundle="tiny", input="frame"), Start(bundle="tiny", skeleton="kinect25")):
            with pytest.raises(UnsupportedInput):
                hub.open(start, unheard)
        hub.open(Start(bundle="tiny", skeleton="coco17"), unheard)
        with pytest.raises(UnsupportedInput):
            hub.open(Start(bundle="tiny", input="frame", skeleton="coco17"), unheard)
        assert len(hub.streams()) == 1

    with_hub([bundle], use)


def test_one_stream_more_than_its_inbox_holds_waits_without_loss(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        heard: list[Outgoing] = []
        await play(hub.open(Start(bundle="tiny", policy="block"), heard.append), range(100))
        summary = heard[-1]
        assert isinstance(summary, Summary)
        assert (summary.received, summary.stepped, summary.dropped) == (100, 100, 0)

    with_hub([bundle], use, Limits(inbox=1))


def test_who_asks_is_called_once_when_there_is_room_again(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        handle = hub.open(Start(bundle="tiny", policy="block"), unheard)
        fullness = [handle.full]
        handle.receive(pose(0))
        fullness.append(handle.full)
        called = asyncio.Event()
        handle.call_when_writable(called.set)
        await called.wait()
        assert [*fullness, handle.full] == [False, True, False]
        handle.receive(pose(1))
        called.clear()
        await handle.writable()
        assert not called.is_set()

    with_hub([bundle], use, Limits(inbox=1))


def test_closing_wakes_whoever_waits_for_room(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        handle = hub.open(Start(bundle="tiny", policy="block"), unheard)
        handle.receive(pose(0))
        waiting = asyncio.ensure_future(handle.writable())
        cancelled = asyncio.ensure_future(handle.writable())
        cancelled.cancel()
        finished = asyncio.ensure_future(handle.finished())
        handle.close("disconnected")
        handle.close("again")
        await waiting
        await finished
        assert handle.closed
        handle.receive(pose(1))
        with pytest.raises(asyncio.CancelledError):
            await cancelled

    with_hub([bundle], use, Limits(inbox=1))


def test_draining_tells_every_stream_and_waits_for_them(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        heard: list[list[Outgoing]] = [[], []]
        for messages in heard:
            hub.open(Start(bundle="tiny"), messages.append).receive(pose(0))
        hub.drain()
        assert hub.draining
        with pytest.raises(Draining):
            hub.open(Start(bundle="tiny"), unheard)
        await hub.drained()
        for messages in heard:
            assert [m.type for m in messages if m.type != "event"] == ["ready", "error", "prediction", "summary"]
        assert hub.streams() == []

    with_hub([bundle], use)


def test_stopping_closes_what_is_open_and_can_be_repeated(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        handle = hub.open(Start(bundle="tiny"), unheard)
        handle.receive(pose(0))
        await hub.stop()
        await hub.stop()
        assert handle.closed
        assert hub.stats()[0].counts.dropped["closed"] <= 1
        assert hub.stats()[0].slots_used == 0
        with pytest.raises(Draining):
            hub.open(Start(bundle="tiny"), unheard)

    with_hub([bundle], use)


def test_streams_are_listed_with_what_they_did(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        flushed = asyncio.Event()

        def hear(message: Outgoing) -> None:
            if isinstance(message, Flushed):
                flushed.set()

        handle = hub.open(Start(bundle="tiny", policy="block"), hear)
        handle.receive(pose(0))
        handle.receive(Flush(id=1))
        await flushed.wait()
        (info,) = hub.streams()
        assert (info.stream, info.bundle, info.version, info.policy) == (handle.stream, "tiny", "1", "block")
        assert (info.tracks, info.waiting, info.counts.stepped, info.counts.tracks) == (1, 0, 1, 1)
        assert info.since_s >= 0
        (stats,) = hub.stats()
        assert (stats.streams, stats.tracks, stats.slots_used, stats.slots_free) == (1, 1, 1, 1023)
        assert stats.counts.stepped == 1
        handle.close("disconnected")
        (stats,) = hub.stats()
        assert (stats.streams, stats.slots_used, stats.counts.stepped) == (0, 0, 1)

    with_hub([bundle], use)


def test_every_batch_is_reported_on_the_loops_thread(bundle: Bundle) -> None:
    reports = Reports()

    async def use(hub: Hub) -> None:
        handles = [hub.open(Start(bundle="tiny", policy="block"), unheard) for _ in range(4)]
        await asyncio.gather(*(play(handle, range(10)) for handle in handles))

    with_hub([bundle], use, observer=reports)
    assert sum(report.size for report in reports.batches) == 40
    assert sum(len(report.latency_s) for report in reports.batches) == 40
    assert all(len(report.queue_s) == report.size and not report.failed for report in reports.batches)
    assert all(report.bundle == "tiny/1" and report.step_s > 0 for report in reports.batches)
    assert all(latency >= 0 for report in reports.batches for latency in report.latency_s)
    assert reports.threads == {threading.get_ident()}


def test_a_shell_that_breaks_on_a_result_ends_its_own_stream_only(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(hub: Hub) -> None:
        def broken(message: Outgoing) -> None:
            if isinstance(message, Prediction):
                raise ValueError("a defect")

        bad = hub.open(Start(bundle="tiny", policy="block"), broken)
        heard: list[Outgoing] = []
        good = hub.open(Start(bundle="tiny", policy="block"), heard.append)
        bad.receive(pose(0))
        await play(good, range(20))
        await bad.finished()
        assert sum(isinstance(message, Prediction) for message in heard) == 20
        assert hub.stats()[0].slots_used == 0

    with caplog.at_level(logging.ERROR):
        with_hub([bundle], use)
    assert "its stream is closed" in caplog.text


def test_illegal_messages_are_raised_for_the_shell_to_close(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        heard: list[Outgoing] = []
        handle = hub.open(Start(bundle="tiny"), heard.append)
        with pytest.raises(OutOfOrder):
            handle.receive(Start(bundle="tiny"))
        handle.receive(PackedPose(3, -1.0, [], pose(0).keypoints[:0]))
        assert [m.code for m in heard if isinstance(m, ErrorMessage)] == ["bad_time"]

    with_hub([bundle], use)


def test_a_hub_starts_once(bundle: Bundle) -> None:
    async def use(hub: Hub) -> None:
        with pytest.raises(RuntimeError, match="started before"):
            hub.start(asyncio.get_running_loop())

    with_hub([bundle], use)


@pytest.mark.parametrize("policy", ["drop_oldest", "block"])
def test_images_that_wait_take_promised_memory_and_give_it_back(tmp_path: Path, policy: str) -> None:
    """Nothing decodes before the hub is started: every image waits."""
    heard: list[Outgoing] = []
    image = np.zeros((512, 512, 3), np.uint8)  # 3/4 MiB
    account = MemoryAccount(4 * MIB)  # images get half of it

    async def use() -> None:
        hub = Hub(threads=1, decode_threads=1, memory=account)
        hub.load(load(make_frame_bundle(tmp_path)))
        stream = hub.open(Start(bundle="tiny-frames", input="frame", policy=policy), heard.append)  # type: ignore[arg-type]
        frames = [decode(pack_image(seq, image, seq * STEP_S)) for seq in range(5)]
        for seq, frame in enumerate(frames):
            assert isinstance(frame, EncodedImage)
            if policy == "block" and seq == 2:
                with pytest.raises(OverCapacity, match="for images"):
                    stream.receive(frame)
                break
            stream.receive(frame)
            assert account.promised["images"] <= 2 * MIB
        if policy == "drop_oldest":
            (row,) = hub.stats()
            assert {cause: n for cause, n in row.counts.dropped.items() if n} == {"memory": 3}
        assert account.promised["images"] > MIB
        stream.close("the client left")
        assert account.promised["images"] == 0
        await hub.stop()

    asyncio.run(use())
