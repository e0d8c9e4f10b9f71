"""The engine's thread: continuous batching without a timer.

It takes whatever is ready, runs it, hands all results over in one call, and repeats; it sleeps only when nothing is
ready. A stream that is alone waits for no other; under load, batches grow by themselves.

Steps are handed over without a lock, so that the event loop never waits for the engine. This relies on the GIL twice:
`deque.extend` of a list and `popleft` are each done in one piece, and each thread sees the other's writes in the order
in which they were made. `submit` appends and then asks whether the engine sleeps; the engine says that it sleeps and
then looks for the last time; so one of the two sees the other. Only waking it takes the lock.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle.schema import TimedTemperature
from inkling.models.calibration import probabilities
from inkling.service.engine.onnx_engine import Stepper
from inkling.service.engine.scheduler import Lane, Scheduler, Step
from inkling.service.engine.state_pool import StatePool
from inkling.service.engine.track_age import TrackAges
from inkling.service.protocol.prediction_format import DECIMALS

log = logging.getLogger(__name__)

TOGETHER_S = 0.002
"""Results of batches that follow each other without a break may wait so long for each other."""


@dataclass(slots=True)
class BatchOutcome:
    """What became of one batch. `answered`, `probabilities`, `rows` and `best` run in parallel.

    Steps that only repeated a held frame are in neither list. queue_s: of each step of the batch, in its turn.
    """

    size: int
    step_s: float
    queue_s: list[float]
    answered: list[Step] = field(default_factory=list)
    probabilities: list[list[float]] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    """The same probabilities, each step's as little-endian f32."""
    best: list[int] = field(default_factory=list)
    failed: list[Step] = field(default_factory=list)


class Batcher:
    """Runs one bundle's steps. `submit`, `cancel` and `close` may be called from any thread, before `start` too."""

    def __init__(
        self,
        engine: Stepper,
        pool: StatePool,
        post: Callable[[BatchOutcome], None],
        max_batch: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """post: called on the engine's thread once per batch; must return soon."""
        self._engine = engine
        self._pool = pool
        self._post = post
        self._max_batch = max_batch
        self._clock = clock
        self._ages = TrackAges(pool.slots) if isinstance(engine.spec.calibration, TimedTemperature) else None
        self._scheduler = Scheduler()
        self._wake = threading.Condition(threading.Lock())
        self._arrived: deque[Step] = deque()  # submitted, not fetched
        self._done: list[BatchOutcome] = []  # batches that ran, not posted
        self._asleep = False
        self._waking = False  # a wake-up is on its way
        self._soon: Callable[[Callable[[], None]], object] | None = None
        self._stopping = False
        self._failing = False
        self._thread_ready = threading.Event()
        self._thread: threading.Thread | None = None

    def submit(self, steps: Iterable[Step]) -> None:
        """Queue steps behind those of their tracks. Takes no lock: the engine fetches what has arrived."""
        self._arrived.extend(steps)
        if self._asleep and not self._waking:
            if self._soon is None:
                self._notify()
            else:
                self._waking = True
                self._soon(self._notify)

    def cancel(self, steps: Sequence[Step]) -> bool:
        """Take back all of `steps`, or none when one has begun."""
        with self._wake:
            self._fetch()
            return self._scheduler.cancel(steps)

    def close(self, lane: Lane) -> None:
        with self._wake:
            self._scheduler.close(lane)

    def start(self, soon: Callable[[Callable[[], None]], object] | None = None) -> None:
        """Begin to run what is submitted. Once. Returns when the engine has prepared its thread.

        soon: calls later what it is given, on the one thread that submits, e.g. at the end of the event loop's turn:
        then all that the turn submits is in the batch that it wakes the engine for.
        """
        if self._thread is not None:
            raise RuntimeError("the batcher was started before")
        self._soon = soon
        name = f"engine-{self._engine.spec.name}-{self._engine.spec.version}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._thread_ready.wait()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Run what is queued, then end the thread and wait for it. False: it still runs after `timeout_s`."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def asleep(self) -> bool:
        """Whether the engine waits for something to do."""
        return self._asleep

    def run_once(self) -> bool:
        """Run one batch of what is ready, if anything is, and post its results. For tests without a thread."""
        ran = self._run_batch()
        self._hand_over()
        return ran

    def _run_batch(self) -> bool:
        with self._wake:
            self._fetch()
            steps = self._scheduler.take(self._max_batch)
        if not steps:
            return False
        outcome, stepped = self._step(steps)
        with self._wake:
            self._scheduler.complete(steps, stepped)
        self._done.append(outcome)
        return True

    def _hand_over(self) -> None:
        """Post the results of the batches that are done."""
        done, self._done = self._done, []
        for outcome in done:
            try:
                self._post(outcome)
            except Exception:  # the thread must outlive whatever its callers do
                log.exception("the results of a batch could not be handed over")

    def _run(self) -> None:
        try:
            self._engine.prepare_thread()
        finally:
            self._thread_ready.set()
        while True:
            with self._wake:
                while not self._scheduler and not self._arrived:
                    self._asleep = True
                    if not self._arrived:
                        if self._stopping:
                            return
                        self._wake.wait()
                    self._asleep = False
            # Under load, what several batches say to one client leaves together.
            posted_s = self._clock()
            while self._run_batch() and self._clock() - posted_s < TOGETHER_S and (self._arrived or self._scheduler):
                pass
            self._hand_over()

    def _fetch(self) -> None:
        """Hand what has arrived to the scheduler. Under the lock."""
        arrived = self._arrived
        if arrived:
            self._scheduler.submit([arrived.popleft() for _ in range(len(arrived))])

    def _notify(self) -> None:
        self._waking = False
        with self._wake:
            self._wake.notify()

    def _step(self, steps: list[Step]) -> tuple[BatchOutcome, list[bool] | None]:
        """Run one batch. Never raises: a failure fails these steps and leaves their states as they were."""
        taken_s = self._clock()
        outcome = BatchOutcome(len(steps), 0.0, [taken_s - step.submitted_s for step in steps])
        stepped: list[bool] | None = None
        try:
            probabilities, finite = self._advance(steps)
        except Exception as error:  # whatever the runtime raises
            outcome.failed = steps
            stepped = [False] * len(steps)
            if not self._failing:  # once, not at every batch of an engine that stays broken
                log.exception("a batch of %d steps failed: %s", len(steps), error)
            self._failing = True
        else:
            self._failing = False
            if finite is not None:
                stepped = finite.tolist()
                outcome.failed = [step for step, fine in zip(steps, stepped, strict=True) if not fine]
                log.warning("%d of %d steps gave numbers that are not finite", len(outcome.failed), len(steps))
            if stepped is None and not any(step.repeats for step in steps):
                outcome.answered = steps
            else:
                answered = [i for i, step in enumerate(steps) if not step.repeats and (stepped is None or stepped[i])]
                outcome.answered = [steps[i] for i in answered]
                probabilities = probabilities[answered]
            outcome.best = probabilities.argmax(axis=1).tolist()
            rounded = probabilities.round(DECIMALS)
            outcome.probabilities = rounded.tolist()
            outcome.rows = _rows(rounded)
        outcome.step_s = self._clock() - taken_s
        return outcome, stepped

    def _advance(self, steps: list[Step]) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
        """Probabilities (B, K), and which rows are finite (None: all). States of the finite rows are stored."""
        rows, generations, epochs = np.array(
            [(step.lane.slot, step.lane.generation, step.epoch) for step in steps], np.int64
        ).T
        logits, finite = self._engine.advance(self._pool, rows, generations, epochs, _inputs(steps))
        if finite is not None:
            logits = np.where(finite[:, np.newaxis], logits, 0)
        spec = self._engine.spec
        if self._ages is None:
            return probabilities(logits, spec.calibration), finite
        ages = self._ages.step(rows, generations, epochs, finite)
        return probabilities(logits, spec.calibration, ages / spec.rate_hz), finite


def _rows(probabilities: NDArray[np.float64]) -> list[bytes]:
    """(B, K) -> each row as little-endian f32."""
    data = probabilities.astype("<f4").tobytes()
    size = 4 * probabilities.shape[1]
    return [data[at : at + size] for at in range(0, len(data), size)]


def _stack(xs: list[Any]) -> Array:
    """B arrays (J, ...) of one shape -> (B, J, ...); several times as fast as np.stack for small ones."""
    shape = xs[0].shape
    if len(shape) < 2:
        return np.stack(xs)
    return np.concatenate(xs).reshape(len(xs), *shape)


def _inputs(steps: list[Step]) -> Array:
    """(B, *input shape). Streams of one kind share their `prepare`, so that most batches call it once."""
    xs: list[Any] = [step.lane.held if step.repeats else step.x for step in steps]
    kinds = {step.lane.prepare for step in steps}
    if len(kinds) == 1:
        return kinds.pop()(_stack(xs))
    inputs: Array | None = None
    for prepare in kinds:
        where = [i for i, step in enumerate(steps) if step.lane.prepare == prepare]
        part = prepare(_stack([xs[i] for i in where]))
        if inputs is None:
            inputs = np.empty((len(steps), *part.shape[1:]), part.dtype)
        inputs[where] = part
    assert inputs is not None  # noqa: S101 - a batch is never empty
    return inputs
