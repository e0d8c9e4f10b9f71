"""Which steps run next. Pure: no threads, no clocks; the batcher holds a lock around every call.

Each track has a lane. A lane's steps run in order and one at a time, because each needs the state that the one before
it left. Lanes with something to do wait in one queue, the longest-waiting first, and go back to its end after each
step: oldest first, and a stream that sends ten times too fast still gets one turn in each round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from inkling.models.arrays import Array

Prepare = Callable[[Array], Array]
"""Rows as a session accepted them (B, ...) -> the bundle's input (B, *shape). Runs on the engine's thread."""


class Lane:
    """One track's place in the state pool, and its steps in order. Belongs to the scheduler once a step is submitted.

    slot, generation: from StatePool.acquire. held: what was last stepped, in epoch `held_epoch`, for `hold`.
    """

    __slots__ = ("closed", "current", "generation", "held", "held_epoch", "prepare", "queue", "ready", "slot")

    def __init__(self, slot: int, generation: int, prepare: Prepare) -> None:
        self.slot = slot
        self.generation = generation
        self.prepare = prepare
        self.queue: deque[Step] = deque()  # not begun
        self.current: Step | None = None  # begun: running, or between two of its repeats
        self.ready = False  # in the scheduler's queue
        self.closed = False
        self.held: Array | None = None
        self.held_epoch = -1


class Step:
    """One frame of one track: `repeats` times what the track last stepped, then `x`, which alone is answered.

    epoch: the track's state epoch; the pool starts a row anew where it holds another one, so that a reset survives
    when the frame that brought it is dropped. Subclasses say what happens with the answer.
    """

    __slots__ = ("epoch", "lane", "repeats", "submitted_s", "x")

    def __init__(self, lane: Lane, x: Any, epoch: int, repeats: int, submitted_s: float) -> None:
        self.lane = lane
        self.x = x
        self.epoch = epoch
        self.repeats = repeats
        self.submitted_s = submitted_s

    def answered(
        self, probabilities: list[float], best: int, now_s: float, row: bytes = b"", unknown: float | None = None
    ) -> None:
        """`probabilities` after `x`, their largest at index `best`; `row`: the same as f32. On the event loop.

        unknown: the score of the unknown, of a bundle that has one.
        """
        raise NotImplementedError

    def failed(self, now_s: float) -> None:
        """The batch failed, or this row's numbers were not finite: the state is as before. On the event loop."""
        raise NotImplementedError


class StepQueue(Protocol):
    """Where steps go: the batcher, the decoder in front of it, or a bare Scheduler in tests."""

    def submit(self, steps: Iterable[Step], /) -> None: ...

    def cancel(self, steps: Sequence[Step], /) -> bool: ...

    def close(self, lane: Lane, /) -> None: ...


class Scheduler:
    """The lanes of one bundle."""

    __slots__ = ("_ready",)

    def __init__(self) -> None:
        self._ready: deque[Lane] = deque()

    def __bool__(self) -> bool:
        """Whether `take` may find something."""
        return bool(self._ready)

    def submit(self, steps: Iterable[Step]) -> None:
        """Queue steps behind those of their lanes. Steps of a closed lane are ignored."""
        for step in steps:
            lane = step.lane
            if lane.closed:
                continue
            lane.queue.append(step)
            if not lane.ready and lane.current is None:
                lane.ready = True
                self._ready.append(lane)

    def cancel(self, steps: Sequence[Step]) -> bool:
        """Take back all of `steps`, or none when one of them has begun, was answered or was never submitted."""
        if not all(step in step.lane.queue for step in steps):
            return False
        for step in steps:  # a lane that is ready keeps its turn for what comes next
            step.lane.queue.remove(step)
        return True

    def close(self, lane: Lane) -> None:
        """Forget a lane and its steps; one that is running finishes without consequence."""
        lane.closed = True
        lane.queue.clear()

    def take(self, limit: int) -> list[Step]:
        """Up to `limit` steps, each of another lane, the longest-waiting first. `complete` them before long."""
        taken: list[Step] = []
        while self._ready and len(taken) < limit:
            lane = self._ready.popleft()
            lane.ready = False
            if lane.closed:
                continue
            step = lane.current
            if step is None:
                if not lane.queue:  # all cancelled
                    continue
                lane.current = step = lane.queue.popleft()
                if step.repeats and lane.held_epoch != step.epoch:
                    step.repeats = 0  # nothing was stepped since the reset: there is nothing to hold
            taken.append(step)
        return taken

    def complete(self, steps: Sequence[Step], stepped: Sequence[bool] | None) -> None:
        """Release the lanes of a batch that was taken. stepped: which advanced; None: all did."""
        for i, step in enumerate(steps):
            lane = step.lane
            if stepped is not None and not stepped[i]:
                lane.current = None
            elif step.repeats:
                step.repeats -= 1
            else:
                lane.held, lane.held_epoch = step.x, step.epoch
                lane.current = None
            if (lane.current is not None or lane.queue) and not lane.closed:
                lane.ready = True
                self._ready.append(lane)
