from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from inkling.models.bundle import Bundle
from inkling.service.engine.batch_thread import TOGETHER_S
from inkling.service.engine.batcher import Batcher, BatchOutcome
from inkling.service.engine.onnx_engine import Engine
from inkling.service.engine.scheduler import Lane, Step
from inkling.service.engine.state_pool import HostPool
from tests.service.conftest import wait_until
from tests.service.rig import FaultyEngine, Floats, PlainTrack, body, tiny
from tests.support import TinyReference

ERROR = 1e-5


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny(tmp_path_factory.mktemp("bundles"))


class Bench:
    """A batcher, the lanes of some tracks, and what came out."""

    def __init__(self, bundle: Bundle, tracks: int = 3, max_batch: int = 8) -> None:
        self.engine = FaultyEngine(bundle, threads=1)
        self.pool = HostPool(bundle.spec.state, 8, max_batch)
        self.outcomes: list[BatchOutcome] = []
        self.now_s = 0.0
        self.batcher = Batcher(self.engine, self.pool, self.outcomes.append, max_batch, lambda: self.now_s)
        self.lanes = [self.lane() for _ in range(tracks)]

    def lane(self, prepare: Any = None) -> Lane:
        slot = self.pool.acquire()
        return Lane(slot.index, slot.generation, prepare or same)

    def submit(self, lane: Lane, x: Floats, epoch: int = 0, repeats: int = 0) -> Step:
        step = Step(lane, x, epoch, repeats, self.now_s)
        self.batcher.submit([step])
        return step

    def run(self) -> BatchOutcome:
        assert self.batcher.run_once()
        return self.outcomes[-1]


def same(rows: Any) -> Any:
    return rows


def doubled(rows: Any) -> Any:
    return rows * 2


def test_a_batch_is_what_is_ready_and_equals_each_track_alone(bundle: Bundle) -> None:
    bench = Bench(bundle)
    plain = [PlainTrack(TinyReference()) for _ in bench.lanes]
    for turn in range(5):
        tracks = [0, 1, 2] if turn % 2 else [2, 0]
        steps = [bench.submit(bench.lanes[track], body(10 * turn + track)) for track in tracks]
        outcome = bench.run()
        assert outcome.answered == steps
        for track, row, best in zip(tracks, outcome.probabilities, outcome.best, strict=True):
            expected = plain[track].step(body(10 * turn + track), 0)
            assert row == pytest.approx(expected, abs=ERROR)
            assert best == expected.argmax()
    assert not bench.batcher.run_once()


def test_repeats_step_the_held_frame_and_only_the_last_is_answered(bundle: Bundle) -> None:
    bench = Bench(bundle, tracks=1)
    plain = PlainTrack(TinyReference())
    bench.submit(bench.lanes[0], body(1))
    bench.run()
    plain.step(body(1), 0)
    step = bench.submit(bench.lanes[0], body(2), repeats=2)
    assert [bench.run().answered for _ in range(3)] == [[], [], [step]]
    plain.fill(0, 2)
    assert bench.outcomes[-1].probabilities[0] == pytest.approx(plain.step(body(2), 0), abs=ERROR)


def test_streams_of_different_skeletons_share_a_batch(bundle: Bundle) -> None:
    bench = Bench(bundle, tracks=2)
    other = bench.lane(doubled)
    for lane in (bench.lanes[0], other, bench.lanes[1]):
        bench.submit(lane, body(1))
    rows = bench.run().probabilities
    one = PlainTrack(TinyReference()).step(body(1), 0)
    two = PlainTrack(TinyReference()).step(body(1) * 2, 0)
    for row, expected in zip(rows, (one, two, one), strict=True):
        assert row == pytest.approx(expected, abs=ERROR)


def test_a_failed_batch_fails_its_own_steps_and_leaves_states_untouched(
    bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(bundle, tracks=2)
    plain = PlainTrack(TinyReference())
    bench.submit(bench.lanes[0], body(1))
    bench.run()
    plain.step(body(1), 0)
    bench.engine.failing = True
    lost = [bench.submit(lane, body(2)) for lane in bench.lanes]
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            outcome = bench.run()
            assert (outcome.failed, outcome.answered) == (lost, [])
            lost = [bench.submit(lane, body(2)) for lane in bench.lanes]
    assert len(caplog.records) == 1, "an engine that stays broken is logged once"
    bench.batcher.cancel(lost)
    bench.engine.failing = False
    bench.submit(bench.lanes[0], body(3))
    assert bench.run().probabilities[0] == pytest.approx(plain.step(body(3), 0), abs=ERROR)


def test_a_row_that_is_not_finite_fails_alone_and_its_state_stays(bundle: Bundle) -> None:
    bench = Bench(bundle, tracks=2)
    plain = [PlainTrack(TinyReference()) for _ in range(2)]
    bench.engine.poisoned = 1
    steps = [bench.submit(lane, body(1)) for lane in bench.lanes]
    outcome = bench.run()
    assert (outcome.answered, outcome.failed) == (steps[:1], steps[1:])
    assert outcome.probabilities == [pytest.approx(plain[0].step(body(1), 0), abs=ERROR)]
    bench.engine.poisoned = None
    for lane in bench.lanes:
        bench.submit(lane, body(2))
    for row, track in zip(bench.run().probabilities, plain, strict=True):
        assert row == pytest.approx(track.step(body(2), 0), abs=ERROR)


def test_a_slot_that_changes_hands_during_its_step_starts_anew(bundle: Bundle) -> None:
    bench = Bench(bundle, tracks=0)
    slot = bench.pool.acquire()
    first = Lane(slot.index, slot.generation, same)
    second: list[Lane] = []

    def change_hands() -> None:
        bench.batcher.close(first)
        bench.pool.release(slot)
        second.append(bench.lane())
        bench.submit(second[0], body(2))

    bench.submit(first, body(1))
    bench.engine.during = change_hands
    bench.run()
    assert second[0].slot == slot.index
    outcome = bench.run()
    assert outcome.probabilities[0] == pytest.approx(PlainTrack(TinyReference()).step(body(2), 0), abs=ERROR)


def test_the_outcome_tells_how_long_steps_waited_and_ran(bundle: Bundle) -> None:
    bench = Bench(bundle, tracks=2)
    bench.submit(bench.lanes[0], body(1))
    bench.now_s = 1.5
    bench.submit(bench.lanes[1], body(1))
    bench.now_s = 2.0

    def later() -> None:
        bench.now_s = 2.25

    bench.engine.during = later
    outcome = bench.run()
    assert (outcome.size, outcome.queue_s, outcome.step_s) == (2, [2.0, 0.5], 0.25)


def test_at_most_max_batch_steps_run_together(bundle: Bundle) -> None:
    bench = Bench(bundle, tracks=5, max_batch=2)
    for lane in bench.lanes:
        bench.submit(lane, body(1))
    assert [bench.run().size for _ in range(3)] == [2, 2, 1]


def test_the_thread_runs_what_was_submitted_before_it_and_stops_when_all_is_done(bundle: Bundle) -> None:
    bench = Bench(bundle, tracks=3)
    for lane in bench.lanes:
        for turn in range(4):
            bench.submit(lane, body(turn))
    bench.batcher.start()
    assert bench.batcher.stop(timeout_s=30)
    assert sum(len(outcome.answered) for outcome in bench.outcomes) == 12


def test_it_stops_without_ever_having_started_and_twice(bundle: Bundle) -> None:
    bench = Bench(bundle)
    assert bench.batcher.stop()
    assert bench.batcher.stop()
    bench.batcher.start()
    with pytest.raises(RuntimeError, match="started before"):
        bench.batcher.start()
    assert bench.batcher.stop(timeout_s=30)


def test_the_thread_outlives_a_post_that_raises(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    calls = []

    def post(outcome: BatchOutcome) -> None:
        calls.append(outcome)
        if len(calls) == 2:
            done.set()
        raise RuntimeError("the loop is closed")

    pool = HostPool(bundle.spec.state, 2, 2)
    batcher = Batcher(Engine(bundle, threads=1), pool, post, 2)
    batcher.start()
    slot = pool.acquire()
    lane = Lane(slot.index, slot.generation, same)
    batcher.submit([Step(lane, body(1), 0, 0, 0.0), Step(lane, body(2), 0, 0, 0.0)])
    assert done.wait(30)
    assert batcher.stop(timeout_s=30)
    assert "could not be handed over" in caplog.text


def test_tracks_that_come_and_go_while_the_thread_runs_equal_the_plain_loop(bundle: Bundle) -> None:
    """Real threads: four tenants at a time on four slots, each leaving with a step still queued."""
    rng = np.random.default_rng(0)
    pool = HostPool(bundle.spec.state, 4, 3)
    answers: dict[Step, list[float]] = {}
    arrived = threading.Condition()

    def post(outcome: BatchOutcome) -> None:
        with arrived:
            answers.update(zip(outcome.answered, outcome.probabilities, strict=True))
            arrived.notify()

    batcher = Batcher(Engine(bundle, threads=1), pool, post, 3)
    batcher.start()
    for _generation in range(30):
        tenants = []
        for _ in range(4):
            slot = pool.acquire()
            lane = Lane(slot.index, slot.generation, same)
            xs = [body(int(rng.integers(1_000_000))) for _ in range(int(rng.integers(1, 4)))]
            steps = [Step(lane, x, 0, 0, 0.0) for x in xs]
            tenants.append((slot, lane, xs, steps))
            batcher.submit(steps)
        for slot, lane, xs, steps in tenants:
            with arrived:
                assert arrived.wait_for(partial(answers.keys().__ge__, set(steps)), 30)
            plain = PlainTrack(TinyReference())
            for step, x in zip(steps, xs, strict=True):
                assert answers.pop(step) == pytest.approx(plain.step(x, 0), abs=ERROR)
            batcher.submit([Step(lane, xs[0], 0, 0, 0.0)])
            batcher.close(lane)
            pool.release(slot)
    assert batcher.stop(timeout_s=30)
    assert pool.used == 0


def test_stopping_leaves_no_thread_behind(bundle: Bundle) -> None:
    before = threading.active_count()
    bench = Bench(bundle)
    bench.batcher.start()
    assert threading.active_count() == before + 1
    assert bench.batcher.stop(timeout_s=30)
    assert threading.active_count() == before


def test_what_one_turn_submits_is_one_batch_and_one_wake_up(bundle: Bundle) -> None:
    bench = Bench(bundle)
    later: list[Callable[[], None]] = []
    bench.batcher.start(later.append)
    wait_until(lambda: bench.batcher.asleep)
    for lane in bench.lanes:
        bench.submit(lane, body(1))
    assert not bench.outcomes
    (rouse,) = later
    rouse()
    wait_until(lambda: bool(bench.outcomes))
    assert [outcome.size for outcome in bench.outcomes] == [3]
    assert bench.batcher.stop(timeout_s=30)


def test_results_of_batches_without_a_break_wait_for_each_other_a_moment_only(bundle: Bundle) -> None:
    bench = Bench(bundle, tracks=1)
    for seed in range(6):
        bench.submit(bench.lanes[0], body(seed))
    posted: list[float] = []

    def step() -> None:
        bench.now_s += TOGETHER_S / 2.5
        posted.append(len(bench.outcomes))
        bench.engine.during = step

    bench.engine.during = step
    bench.batcher.start()
    wait_until(lambda: len(bench.outcomes) == 6)
    assert bench.batcher.stop(timeout_s=30)
    assert posted == [0, 0, 0, 3, 3, 3], "outcomes that were posted when each batch ran"


def test_a_step_can_be_taken_back_before_the_engine_has_fetched_it(bundle: Bundle) -> None:
    bench = Bench(bundle, tracks=1)
    step = bench.submit(bench.lanes[0], body(1))
    assert bench.batcher.cancel([step])
    assert not bench.batcher.run_once()


def test_rows_are_the_probabilities_as_float32(bundle: Bundle) -> None:
    bench = Bench(bundle)
    for lane in bench.lanes:
        bench.submit(lane, body(1))
    outcome = bench.run()
    assert [np.frombuffer(row, "<f4").tolist() for row in outcome.rows] == [
        np.array(row, np.float32).tolist() for row in outcome.probabilities
    ]
