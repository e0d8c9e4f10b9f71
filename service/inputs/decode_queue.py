"""Which frame is decoded next. Pure: no threads, no clocks; the pool holds a lock around every call.

What streams share is time, not frames: an image may cost a hundred times what another does. Each lane has used so many
seconds of decoding, and the lane that has used the least is next. A lane that had nothing to decode for a while starts
level with the others, so that rest is not saved up (start-time fair queueing).

An image that is estimated to take longer than `HEAVY_S` is heavy. Nothing can interrupt it, so heavy ones never take
the last thread of the pool, where it has several, and together never more than `HEAVY_BYTES`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any, Generic, TypeVar

from inkling.service.engine.scheduler import Lane, Step
from inkling.service.inputs.decode_cost import DecodeCost

AHEAD = 2
"""Frames of one track that are being decoded, or are decoded and not answered."""
HEAVY_S = 0.02
HEAVY_BYTES = 128 * 1024 * 1024

Owner = TypeVar("Owner")


class _LaneFrames(Generic[Owner]):
    """What is to be decoded of one lane. used_s: seconds that it has used, or is taken to have used."""

    __slots__ = ("ahead", "cost", "decoding", "owner", "queued", "steps", "used_s")

    def __init__(self, owner: Owner, cost: Callable[[Any], DecodeCost], used_s: float) -> None:
        self.owner = owner
        self.cost = cost
        self.used_s = used_s
        self.steps: deque[Step] = deque()
        self.decoding = False
        self.ahead = 0
        self.queued = False


class DecodeQueue(Generic[Owner]):
    """The frames that wait, of all lanes of all bundles; `Owner` is what decodes a lane's frames."""

    __slots__ = ("_heavy", "_heavy_bytes", "_heavy_frames", "_lanes", "_light", "_now_s", "_number", "_threads")

    def __init__(self, threads: int) -> None:
        """threads: how many take from it at once."""
        self._threads = threads
        self._lanes: dict[Lane, _LaneFrames[Owner]] = {}
        # Lanes that may decode, by what they have used; where two have used the same, the one that came first.
        self._light: list[tuple[float, int, Lane]] = []
        self._heavy: list[tuple[float, int, Lane]] = []
        self._number = count()
        self._now_s = 0.0  # what the lane that was taken last had used
        self._heavy_frames: dict[Step, int] = {}  # heavy frames that are being decoded, and their bytes
        self._heavy_bytes = 0

    def __bool__(self) -> bool:
        """Whether `take` may find something."""
        return bool(self._light) or (bool(self._heavy) and self._may_begin_heavy())

    def submit(self, owner: Owner, cost: Callable[[Any], DecodeCost], steps: Iterable[Step]) -> None:
        """Queue steps behind those of their lanes. Steps of a closed lane are ignored.

        cost: what decoding a step's `x` is estimated to take.
        """
        for step in steps:
            if step.lane.closed:
                continue
            waiting = self._lanes.get(step.lane)
            if waiting is None:
                waiting = self._lanes[step.lane] = _LaneFrames(owner, cost, self._now_s)
            waiting.steps.append(step)
            self._offer(step.lane, waiting)

    def cancel(self, steps: Sequence[Step]) -> bool:
        """Take back all of `steps`, or none when decoding one of them has begun."""
        lanes = [self._lanes.get(step.lane) for step in steps]
        if not all(waiting is not None and step in waiting.steps for step, waiting in zip(steps, lanes, strict=True)):
            return False
        for step, waiting in zip(steps, lanes, strict=True):
            if waiting is not None:
                waiting.steps.remove(step)
        return True

    def close(self, lane: Lane) -> None:
        """Forget a lane and its steps."""
        self._lanes.pop(lane, None)

    def take(self) -> tuple[Step, Owner] | None:
        """The step to decode now, and what decodes it; `decoded` it before long. Of one lane never more than one."""
        passed: list[tuple[float, int, Lane]] = []  # heavier than what may begin now
        taken = None
        while taken is None and (heap := self._next_heap()) is not None:
            entry = heappop(heap)
            waiting = self._lanes.get(entry[2])
            if waiting is None:
                continue
            if not waiting.steps:  # all were cancelled
                waiting.queued = False
                continue
            cost = waiting.cost(waiting.steps[0].x)
            heavy = cost.seconds > HEAVY_S
            if heavy is not (heap is self._heavy):  # what it was queued for was cancelled
                heappush(self._heavy if heavy else self._light, entry)
            elif heavy and self._heavy_frames and self._heavy_bytes + cost.bytes > HEAVY_BYTES:
                passed.append(entry)
            else:
                taken = waiting.steps.popleft(), waiting.owner
                waiting.queued, waiting.decoding = False, True
                self._now_s = waiting.used_s
                if heavy:
                    self._heavy_frames[taken[0]] = cost.bytes
                    self._heavy_bytes += cost.bytes
        for entry in passed:
            heappush(self._heavy, entry)
        return taken

    def waits_for(self, step: Step) -> bool:
        """Whether anybody still waits for a step that was taken."""
        return step.lane in self._lanes

    def decoded(self, step: Step, good: bool, seconds: float) -> None:
        """The step was decoded and handed on, or (not good) could not be, which took so long."""
        self._heavy_bytes -= self._heavy_frames.pop(step, 0)
        waiting = self._lanes.get(step.lane)
        if waiting is not None:
            waiting.decoding = False
            waiting.used_s += seconds
            waiting.ahead += good
            self._offer(step.lane, waiting)

    def answered(self, steps: Iterable[Step]) -> None:
        """Decoded steps have run."""
        for step in steps:
            waiting = self._lanes.get(step.lane)
            if waiting is not None:
                waiting.ahead -= 1
                self._offer(step.lane, waiting)

    def _may_begin_heavy(self) -> bool:
        return len(self._heavy_frames) < max(1, self._threads - 1)

    def _next_heap(self) -> list[tuple[float, int, Lane]] | None:
        """Of the two heaps the one whose first lane has used less."""
        if not self._heavy or not self._may_begin_heavy():
            return self._light or None
        return self._heavy if not self._light or self._heavy[0] < self._light[0] else self._light

    def _offer(self, lane: Lane, waiting: _LaneFrames[Owner]) -> None:
        if waiting.steps and not waiting.decoding and not waiting.queued and waiting.ahead < AHEAD:
            waiting.queued = True
            waiting.used_s = max(waiting.used_s, self._now_s)
            heap = self._heavy if waiting.cost(waiting.steps[0].x).seconds > HEAVY_S else self._light
            heappush(heap, (waiting.used_s, next(self._number), lane))
