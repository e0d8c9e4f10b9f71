"""A check that never ends: some tracks are also stepped alone, and what the batch gave them is compared with that.

A batch must not change what any of its rows gives, whatever the runtime, the device, the batch size and the
neighbours. The canary sees when that stops being so on the machine that serves. It costs one step of a batch of one for
each step of a watched track.
"""

from __future__ import annotations

import logging
import math
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle import initial_state
from inkling.models.bundle.inputs import Inputs, each
from inkling.models.bundle.schema import TOLERANCE
from inkling.service.engine.onnx_engine import Engine
from inkling.service.engine.state_pool import Indices, RowMask, StatePool

log = logging.getLogger(__name__)


class _Alone:
    """A watched track's state of its own, in one of its epochs."""

    __slots__ = ("epoch", "state")

    def __init__(self) -> None:
        self.epoch: int | None = None
        self.state: dict[str, Array] = {}


class Canary:
    """An engine that watches one track in `every`, the first one among them. For the engine's thread.

    `steps` and `difference` (the largest of a logit so far) may be read from any thread: both are single references,
    which the GIL never shows half written.
    """

    def __init__(self, engine: Engine, every: int, slots: int) -> None:
        self.spec = engine.spec
        self.steps = 0
        self.difference = 0.0
        self._engine = engine
        self._every = every
        self._tenants = np.full(slots, -1, np.int64)  # by generation, as far as they were seen
        self._watched = np.zeros(slots, np.bool_)
        self._alone: dict[int, _Alone] = {}
        self._seen = 0

    def prepare_thread(self) -> None:
        self._engine.prepare_thread()

    def advance(
        self, pool: StatePool, rows: Indices, generations: Indices, epochs: Indices, x: Inputs
    ) -> tuple[NDArray[np.float32], RowMask | None]:
        """`Engine.advance`; what is compared changes nothing of its answer, not even by failing."""
        logits, finite = self._engine.advance(pool, rows, generations, epochs, x)
        self._meet(rows, generations)
        for i in np.flatnonzero(self._watched[rows]).tolist():
            if finite is None or finite[i]:
                self._compare(int(rows[i]), int(epochs[i]), each(x, itemgetter(slice(i, i + 1))), logits[i])
        return logits, finite

    def _meet(self, rows: Indices, generations: Indices) -> None:
        """Decide of new tenants whether they are watched."""
        new = self._tenants[rows] != generations
        for row in rows[new].tolist():
            self._watched[row] = watched = self._seen % self._every == 0
            self._seen += 1
            if watched:
                self._alone[row] = _Alone()
            else:
                self._alone.pop(row, None)
        self._tenants[rows] = generations

    def _compare(self, row: int, epoch: int, x: Inputs, together: NDArray[np.float32]) -> None:
        alone = self._alone[row]
        if alone.epoch != epoch:
            alone.epoch, alone.state = epoch, initial_state(self.spec, 1)
        try:
            logits, outputs = self._engine.step(x, alone.state)
        except Exception:  # whatever the runtime raises: the batch went well
            log.exception("a step beside the batch failed: its track is watched no more")
            self._watched[row] = False
            return
        alone.state = {s.input: outputs[s.output] for s in self.spec.state}
        difference = float(np.abs(logits[0] - together).max())
        if math.isnan(difference):
            difference = math.inf
        self.steps += 1
        if difference > max(self.difference, TOLERANCE):
            log.error(
                "%s: a batch gave a track other logits than it gets alone, off by %.2g", self.spec.full_name, difference
            )
        self.difference = max(self.difference, difference)
