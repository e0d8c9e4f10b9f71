"""Results cross from the engine's thread to the loop: in order, each once, and a defect ends only its own stream."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from inkling.models.bundle import Bundle
from inkling.service.engine.batcher import Batcher, BatchOutcome
from inkling.service.engine.onnx_engine import Engine
from inkling.service.engine.scheduler import Lane, Step
from inkling.service.protocol.codec import ErrorMessage, Prediction
from inkling.service.streams.delivery import Delivery
from inkling.service.streams.loaded_bundle import LoadedBundle
from inkling.service.streams.observer import BatchReport
from tests.service.rig import Rig, Stream, body, tiny

LANE = Lane(0, 0, lambda rows: rows)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles"))


@pytest.fixture
def loaded(bundle: Bundle) -> LoadedBundle:
    engine = Engine(bundle, threads=1)
    pool = engine.pool(1, 1)
    return LoadedBundle(engine.spec, pool, Batcher(engine, pool, lambda outcome: None, 1))


class Numbered(Step):
    """Notes its number and the thread when it is answered."""

    __slots__ = ("note",)

    def __init__(self, number: int, note: Callable[[int], None]) -> None:
        super().__init__(LANE, number, 0, 0, 0.0)
        self.note = note

    def answered(
        self, probabilities: list[float], best: int, now_s: float, row: bytes = b"", unknown: float | None = None
    ) -> None:
        self.note(self.x)

    def failed(self, now_s: float) -> None:
        self.note(-self.x)


async def what_is_due() -> None:
    """Let the loop do all that it was asked for so far."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


def outcome(*steps: Step, failed: list[Step] | None = None) -> BatchOutcome:
    count = len(steps)
    return BatchOutcome(
        count + len(failed or ()), 0.25, [0.5] * count, list(steps), [[1.0]] * count, [b""] * count, [0] * count,
        failed or [],
    )  # fmt: skip


class Reports:
    def __init__(self) -> None:
        self.batches: list[BatchReport] = []

    def batch(self, report: BatchReport) -> None:
        self.batches.append(report)

    def decoded(self, bundle: str, seconds: Any) -> None:
        raise AssertionError("this bundle takes no images")

    def perceived(self, *pictures: Any) -> None:
        raise AssertionError("nobody is looked for")


def test_what_two_engines_post_at_once_comes_out_whole_and_in_the_order_of_each(loaded: LoadedBundle) -> None:
    count, heard, threads = 2000, list[int](), set[int]()

    async def main() -> None:
        done = asyncio.Event()

        def note(number: int) -> None:
            heard.append(number)
            threads.add(threading.get_ident())
            if len(heard) == 2 * count:
                done.set()

        delivery = Delivery(lambda: 0.0, None)
        delivery.start(asyncio.get_running_loop())

        def engine(first: int) -> None:
            for number in range(first, first + count):
                delivery.post(loaded, outcome(Numbered(number, note)))

        engines = [threading.Thread(target=engine, args=(first,)) for first in (0, count)]
        for thread in engines:
            thread.start()
        async with asyncio.timeout(30):
            await done.wait()
        for thread in engines:
            thread.join()

    asyncio.run(main())
    assert sorted(heard) == list(range(2 * count))
    assert [number for number in heard if number < count] == list(range(count))
    assert threads == {threading.get_ident()}


def test_a_batch_is_reported_once_with_its_latencies(loaded: LoadedBundle) -> None:
    heard: list[int] = []
    reports = Reports()

    async def main() -> None:
        delivery = Delivery(lambda: 2.0, reports)
        delivery.start(asyncio.get_running_loop())
        delivery.post(loaded, outcome(Numbered(1, heard.append), Numbered(2, heard.append)))
        delivery.post(loaded, outcome(failed=[Numbered(3, heard.append)]))
        await what_is_due()

    asyncio.run(main())
    assert heard == [1, 2, -3]
    assert reports.batches == [
        BatchReport("tiny/1", 2, [0.5, 0.5], 0.25, [2.0, 2.0], failed=False),
        BatchReport("tiny/1", 1, [], 0.25, [], failed=True),
    ]


def test_a_defect_in_one_streams_path_ends_that_stream_and_no_other(
    bundle: Bundle, loaded: LoadedBundle, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(bundle)
    broken, sound = Stream(rig), Stream(rig)
    broken.session.tracks.find(1, 0.0).detector = None  # type: ignore[assignment]
    for stream in (broken, sound):
        stream.send(0, 0.0, {1: body(1)})
    rig.batcher.run_once()

    async def main() -> None:
        delivery = Delivery(lambda: 0.0, None)
        delivery.start(asyncio.get_running_loop())
        delivery.post(loaded, rig.outcomes.pop())
        await what_is_due()

    asyncio.run(main())
    assert [m.code for m in broken.of(ErrorMessage)] == ["internal"]
    assert broken.session.closed
    assert len(sound.of(Prediction)) == 1
    assert "its stream is closed" in caplog.text


def test_after_the_loop_is_closed_results_go_nowhere(loaded: LoadedBundle) -> None:
    heard: list[int] = []
    delivery = Delivery(lambda: 0.0, None)
    delivery.post(loaded, outcome(Numbered(1, heard.append)))  # before a loop there is none to wake
    loop = asyncio.new_event_loop()
    delivery.start(loop)
    loop.close()
    delivery.post(loaded, outcome(Numbered(2, heard.append)))
    assert heard == []
