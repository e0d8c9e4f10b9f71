"""Whose state is where: the places of a bundle's tracks, and their state in preallocated rows.

Two threads use a pool, without a lock. This relies on the GIL, under which numpy reads and writes these small arrays of
numbers in one piece. `acquire` and `release` run on the event loop and write nothing but the free
list and the generations. The rest runs on the engine's thread, which alone writes rows and tags. A tag says whose state
a row holds: the tenant's generation and its epoch. So:

- A row is used only where its tag is that of the step, else the step starts from the initial value. A new tenant has a
  new generation; whatever a predecessor left or still writes carries another tag and is never read.
- A late step of a predecessor cannot overwrite a newer tenant's state: that state was written by a step which was
  submitted after `release` had raised the generation, and steps of another generation are not stored. If `release`
  comes between this check and the write, the new tenant has not stepped yet, for the engine has one thread.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkling.models.arrays import Array
from inkling.models.bundle.schema import StateTensor
from inkling.service.protocol.errors import NoSlot

Indices = NDArray[np.int64]
RowMask = NDArray[np.bool_]

_EPOCH_BITS = 32


@dataclass(frozen=True, slots=True)
class Slot:
    """A row of the pool, for as long as `generation` is that of the row."""

    index: int
    generation: int


class StatePool:
    """`slots` places for tracks. Where their rows are, host or device, is the business of its two kinds."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._tags = np.full(slots, -1, np.int64)
        self._generations = np.zeros(slots, np.int64)
        self._free = list(range(slots))  # a heap: lowest first keeps the used rows together

    @property
    def used(self) -> int:
        return self.slots - len(self._free)

    def acquire(self) -> Slot:
        """The lowest free row. Raises NoSlot when all are taken."""
        if not self._free:
            raise NoSlot(f"all {self.slots} places for people are taken: this one is not watched")
        index = heapq.heappop(self._free)
        return Slot(index, int(self._generations[index]))

    def release(self, slot: Slot) -> None:
        """Give a row back. Raises ValueError when `slot` is not its tenant (any more)."""
        if self._generations[slot.index] != slot.generation:
            raise ValueError(f"slot {slot.index} of generation {slot.generation} was released before")
        self._generations[slot.index] += 1
        heapq.heappush(self._free, slot.index)

    def fresh(self, rows: Indices, generations: Indices, epochs: Indices) -> RowMask:
        """Which of B different rows (B,) hold no state of this tenant and epoch: they start from the initial value."""
        fresh: RowMask = self._tags[rows] != tag(generations, epochs)
        return fresh

    def stored(self, rows: Indices, generations: Indices, keep: RowMask | None) -> RowMask:
        """Which rows (B,) to store: those of `keep` (None: all) that still have the tenant of `generations`."""
        stored: RowMask = self._generations[rows] == generations
        return stored if keep is None else stored & keep

    def mark(self, rows: Indices, generations: Indices, epochs: Indices) -> None:
        """These rows hold the state of these tenants and epochs now."""
        self._tags[rows] = tag(generations, epochs)


class HostPool(StatePool):
    """Every state tensor of a bundle as rows in memory."""

    def __init__(self, state: tuple[StateTensor, ...], slots: int, max_batch: int) -> None:
        super().__init__(slots)
        self._state = state
        self._rows = {s.input: np.full((slots, *s.shape), s.initial, s.dtype) for s in state}
        # What gather returns is a view of these: they live until the next gather.
        self._gathered = {s.input: np.empty((max_batch, *s.shape), s.dtype) for s in state}

    def gather(self, rows: Indices, generations: Indices, epochs: Indices) -> dict[str, Array]:
        """State of B different rows by input name, (B, *shape); initial where a row holds none of this epoch."""
        batch = len(rows)
        fresh = self.fresh(rows, generations, epochs)
        some = fresh.any()
        gathered: dict[str, Array] = {}
        for s in self._state:
            out = self._gathered[s.input][:batch]
            np.take(self._rows[s.input], rows, axis=0, out=out, mode="clip")  # `raise` would buffer `out`
            if some:
                out[fresh] = s.initial
            gathered[s.input] = out
        return gathered

    def scatter(
        self,
        rows: Indices,
        generations: Indices,
        epochs: Indices,
        outputs: Mapping[str, Array],
        keep: RowMask | None = None,
    ) -> None:
        """Store the next state, by output name (B, *shape), of rows that still have the tenant of `generations`.

        keep: (B,) which rows to store at all; None: all.
        """
        stored = self.stored(rows, generations, keep)
        if stored.all():
            for s in self._state:
                self._rows[s.input][rows] = outputs[s.output]
            self.mark(rows, generations, epochs)
            return
        rows = rows[stored]
        for s in self._state:
            self._rows[s.input][rows] = outputs[s.output][stored]
        self.mark(rows, generations[stored], epochs[stored])


def tag(generations: Indices, epochs: Indices) -> Indices:
    """(B,) one number for a tenant and its epoch."""
    return (generations << _EPOCH_BITS) | epochs
