"""The engine's thread: continuous batching without a timer.

It takes whatever is ready, runs it, hands all results over in one call, and repeats; it sleeps only when nothing is
ready. Alone, a stream waits for nobody; under load, batches grow by themselves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.bundle.schema import TimedTemperature
from models.calibration import probabilities
from service.ages import Ages
from service.engine import Stepper
from service.pool import StatePool
from service.schedule import Lane, Scheduler, Step

log = logging.getLogger(__name__)

Array = NDArray[Any]

DECIMALS = 6
"""Of probabilities as sent: finer than float32 arithmetic repeats, half the bytes of all digits."""


@dataclass(slots=True)
class Outcome:
    """What became of one batch. `answered`, `probabilities` and `best` run in parallel.

    Steps that only repeated a held frame are in neither list. queue_s: of each step of the batch, in its turn.
    """

    size: int
    step_s: float
    queue_s: list[float]
    answered: list[Step] = field(default_factory=list)
    probabilities: list[list[float]] = field(default_factory=list)
    best: list[int] = field(default_factory=list)
    failed: list[Step] = field(default_factory=list)


class Batcher:
    """Runs one bundle's steps. `submit`, `cancel` and `close` may be called from any thread, before `start` too."""

    def __init__(
        self,
        engine: Stepper,
        pool: StatePool,
        post: Callable[[Outcome], None],
        max_batch: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """post: called on the engine's thread once per batch; must return soon."""
        self._engine = engine
        self._pool = pool
        self._post = post
        self._max_batch = max_batch
        self._clock = clock
        self._ages = Ages(pool.slots) if isinstance(engine.spec.calibration, TimedTemperature) else None
        self._scheduler = Scheduler()
        self._wake = threading.Condition(threading.Lock())
        self._asleep = False
        self._stopping = False
        self._failing = False
        self._settled = threading.Event()
        self._thread: threading.Thread | None = None

    def submit(self, steps: Iterable[Step]) -> None:
        with self._wake:
            self._scheduler.submit(steps)
            if self._asleep:
                self._wake.notify()

    def cancel(self, steps: Sequence[Step]) -> bool:
        """Take back all of `steps`, or none when one has begun."""
        with self._wake:
            return self._scheduler.cancel(steps)

    def close(self, lane: Lane) -> None:
        with self._wake:
            self._scheduler.close(lane)

    def start(self) -> None:
        """Begin to run what is submitted. Once. Returns when the engine has settled on its thread."""
        if self._thread is not None:
            raise RuntimeError("the batcher was started before")
        name = f"engine-{self._engine.spec.name}-{self._engine.spec.version}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._settled.wait()

    def stop(self, timeout_s: float | None = None) -> bool:
        """Run what is queued, then end the thread and wait for it. False: it still runs after `timeout_s`."""
        with self._wake:
            self._stopping = True
            self._wake.notify()
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def run_once(self) -> bool:
        """Run one batch of what is ready, if anything is. For the engine's thread, and for tests without one."""
        with self._wake:
            steps = self._scheduler.take(self._max_batch)
        if not steps:
            return False
        outcome, stepped = self._step(steps)
        try:
            self._post(outcome)
        except Exception:  # the thread must outlive whatever its callers do
            log.exception("the results of a batch could not be handed over")
        with self._wake:
            self._scheduler.complete(steps, stepped)
        return True

    def _run(self) -> None:
        try:
            self._engine.settle()
        finally:
            self._settled.set()
        while True:
            with self._wake:
                while not self._scheduler:
                    if self._stopping:
                        return
                    self._asleep = True
                    self._wake.wait()
                    self._asleep = False
            self.run_once()

    def _step(self, steps: list[Step]) -> tuple[Outcome, list[bool] | None]:
        """Run one batch. Never raises: a failure fails these steps and leaves their states as they were."""
        taken_s = self._clock()
        outcome = Outcome(len(steps), 0.0, [taken_s - step.submitted_s for step in steps])
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
            answered = [i for i, step in enumerate(steps) if not step.repeats and (stepped is None or stepped[i])]
            if len(answered) == len(steps):
                outcome.answered = steps
            else:
                outcome.answered = [steps[i] for i in answered]
                probabilities = probabilities[answered]
            outcome.best = probabilities.argmax(axis=1).tolist()
            outcome.probabilities = probabilities.round(DECIMALS).tolist()
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
        ages = self._ages.of(rows, generations, epochs)
        self._ages.stepped(rows, generations, epochs, ages, finite)
        return probabilities(logits, spec.calibration, ages / spec.rate_hz), finite


def _inputs(steps: list[Step]) -> Array:
    """(B, *input shape). Streams of one kind share their `prepare`, so that most batches call it once."""
    xs: list[Any] = [step.lane.held if step.repeats else step.x for step in steps]
    kinds = {step.lane.prepare for step in steps}
    if len(kinds) == 1:
        return kinds.pop()(np.stack(xs))
    inputs: Array | None = None
    for prepare in kinds:
        where = [i for i, step in enumerate(steps) if step.lane.prepare == prepare]
        part = prepare(np.stack([xs[i] for i in where]))
        if inputs is None:
            inputs = np.empty((len(steps), *part.shape[1:]), part.dtype)
        inputs[where] = part
    assert inputs is not None  # noqa: S101 - a batch is never empty
    return inputs
