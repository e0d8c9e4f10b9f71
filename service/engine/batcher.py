"""The engine's thread: batches of steps from all streams of one bundle, see `batch_thread`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import TimedTemperature
from inkling.models.calibration import probabilities
from inkling.service.engine.batch_thread import BatchThread
from inkling.service.engine.gather import gather_for
from inkling.service.engine.onnx_engine import Stepper
from inkling.service.engine.scheduler import Step
from inkling.service.engine.state_pool import StatePool
from inkling.service.engine.track_age import TrackAges
from inkling.service.engine.unknown_scores import UnknownScores
from inkling.service.protocol.prediction_format import DECIMALS

log = logging.getLogger(__name__)


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
    unknown: list[float] | None = None
    """Each step's score of the unknown, of a bundle that has one."""


class Batcher(BatchThread[BatchOutcome]):
    """Runs one bundle's steps, on a thread of its own."""

    def __init__(
        self,
        engine: Stepper,
        pool: StatePool,
        post: Callable[[BatchOutcome], None],
        max_batch: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """post: called on the engine's thread once per batch; must return soon."""
        super().__init__(f"engine-{engine.spec.name}-{engine.spec.version}", post, max_batch, clock)
        self._engine = engine
        self._pool = pool
        self._gather = gather_for(engine.spec)
        spec = engine.spec
        aged = isinstance(spec.calibration, TimedTemperature) or spec.unknown is not None
        self._ages = TrackAges(pool.slots) if aged else None
        self._scores = None if spec.unknown is None else UnknownScores(spec.unknown, spec, pool.slots)
        self._failing = False

    def _prepare_thread(self) -> None:
        self._engine.prepare_thread()

    def _step(self, steps: list[Step]) -> tuple[BatchOutcome, list[bool] | None]:
        """Run one batch. Never raises: a failure fails these steps and leaves their states as they were."""
        taken_s = self._clock()
        outcome = BatchOutcome(len(steps), 0.0, [taken_s - step.submitted_s for step in steps])
        stepped: list[bool] | None = None
        try:
            probabilities, unknown, finite = self._advance(steps)
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
                unknown = None if unknown is None else unknown[answered]
            outcome.best = probabilities.argmax(axis=1).tolist()
            rounded = probabilities.round(DECIMALS)
            outcome.probabilities = rounded.tolist()
            outcome.rows = _rows(rounded)
            outcome.unknown = None if unknown is None else unknown.tolist()
        outcome.step_s = self._clock() - taken_s
        return outcome, stepped

    def _advance(
        self, steps: list[Step]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, NDArray[np.bool_] | None]:
        """Probabilities (B, K), scores of the unknown (B,) if there are any, and which rows are finite (None: all).

        States of the finite rows are stored.
        """
        rows, generations, epochs = np.array(
            [(step.lane.slot, step.lane.generation, step.epoch) for step in steps], np.int64
        ).T
        logits, finite = self._engine.advance(self._pool, rows, generations, epochs, self._gather(steps))
        if finite is not None:
            logits = np.where(finite[:, np.newaxis], logits, 0)
        spec = self._engine.spec
        if self._ages is None:
            return probabilities(logits, spec.calibration), None, finite
        ages = self._ages.step(rows, generations, epochs, finite)
        shares = probabilities(logits, spec.calibration, ages / spec.rate_hz)
        unknown = None if self._scores is None else self._scores.step(rows, ages, shares, finite)
        return shares, unknown, finite


def _rows(probabilities: NDArray[np.float64]) -> list[bytes]:
    """(B, K) -> each row as little-endian f32."""
    data = probabilities.astype("<f4").tobytes()
    size = 4 * probabilities.shape[1]
    return [data[at : at + size] for at in range(0, len(data), size)]
