"""Decoding, between the sessions and the batcher: a bounded pool of threads that keeps each track's frames in order.

A frame waits undecoded, so that one which is dropped costs nothing, and is decoded when its track has less than `AHEAD`
frames decoded and not answered: while the model steps one, the next is being decoded. Tracks take turns.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2

from inkling.service.engine.scheduler import Lane, Step, StepQueue
from inkling.service.protocol.errors import Internal, ServiceError

log = logging.getLogger(__name__)

AHEAD = 2
"""Frames of one track that are being decoded, or are decoded and not answered."""


class _LaneFrames:
    """What is to be decoded of one lane."""

    __slots__ = ("ahead", "decoding", "queued", "steps")

    def __init__(self) -> None:
        self.steps: deque[Step] = deque()
        self.decoding = False
        self.ahead = 0
        self.queued = False


class DecodeQueue:
    """Which frame is decoded next. Pure: no threads, no clocks; the decoder holds a lock around every call."""

    __slots__ = ("_lanes", "_ready")

    def __init__(self) -> None:
        self._lanes: dict[Lane, _LaneFrames] = {}
        self._ready: deque[Lane] = deque()

    def __bool__(self) -> bool:
        """Whether `take` may find something."""
        return bool(self._ready)

    def submit(self, steps: Iterable[Step]) -> None:
        """Queue steps behind those of their lanes. Steps of a closed lane are ignored."""
        for step in steps:
            if not step.lane.closed:
                waiting = self._lanes.setdefault(step.lane, _LaneFrames())
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

    def take(self) -> Step | None:
        """The step to decode now; `decoded` it before long. Of one lane there is never more than one."""
        while self._ready:
            lane = self._ready.popleft()
            waiting = self._lanes.get(lane)
            if waiting is None:
                continue
            waiting.queued = False
            if waiting.steps:  # else all were cancelled
                waiting.decoding = True
                return waiting.steps.popleft()
        return None

    def decoded(self, step: Step, good: bool) -> bool:
        """The step is decoded, or (not good) cannot be. False: nobody waits for it any more."""
        waiting = self._lanes.get(step.lane)
        if waiting is None:
            return False
        waiting.decoding = False
        waiting.ahead += good
        self._offer(step.lane, waiting)
        return True

    def answered(self, steps: Iterable[Step]) -> None:
        """Decoded steps have run."""
        for step in steps:
            waiting = self._lanes.get(step.lane)
            if waiting is not None:
                waiting.ahead -= 1
                self._offer(step.lane, waiting)

    def _offer(self, lane: Lane, waiting: _LaneFrames) -> None:
        if waiting.steps and not waiting.decoding and not waiting.queued and waiting.ahead < AHEAD:
            waiting.queued = True
            self._ready.append(lane)


class Decoder:
    """One bundle's decoding, in front of its batcher: the queue that its sessions submit to. Any thread.

    decode: turns a step's `x` into an array, on a thread of the pool; raises ServiceError for a frame that is refused.
    refuse: told of each such step, on that thread.
    """

    def __init__(
        self,
        pool: DecodePool,
        batcher: StepQueue,
        decode: Callable[[Any], Any],
        refuse: Callable[[Step, ServiceError], None],
    ) -> None:
        self._pool = pool
        self._batcher = batcher
        self._decode = decode
        self._refuse = refuse
        self._queue = DecodeQueue()
        self._lock = threading.Lock()
        self._seconds: deque[float] = deque(maxlen=4096)  # written by any thread without a lock: relies on the GIL

    def submit(self, steps: Iterable[Step]) -> None:
        with self._lock:
            self._queue.submit(steps)
            ready = bool(self._queue)
        if ready:
            self._pool.wake(self)

    def cancel(self, steps: Sequence[Step]) -> bool:
        """Take back all of `steps`, or none when decoding one has begun."""
        with self._lock:
            return self._queue.cancel(steps)

    def close(self, lane: Lane) -> None:
        self._batcher.close(lane)  # first, so that nothing is queued for it after this
        with self._lock:
            self._queue.close(lane)

    def answered(self, steps: Iterable[Step]) -> None:
        """The batcher has run these: their tracks may decode more."""
        with self._lock:
            self._queue.answered(steps)
            ready = bool(self._queue)
        if ready:
            self._pool.wake(self)

    def take_seconds(self) -> list[float]:
        """How long decoding took, of each frame since the call before (the last 4,096 of them)."""
        return [self._seconds.popleft() for _ in range(len(self._seconds))]

    def run_once(self) -> bool:
        """Decode one frame, if one waits; whether there was one. For the pool's threads, and for tests without."""
        with self._lock:
            step = self._queue.take()
            more = bool(self._queue)
        if step is None:
            return False
        if more:
            self._pool.wake(self)
        began_s = time.perf_counter()
        error: ServiceError | None = None
        try:
            step.x = self._decode(step.x)
        except ServiceError as refused:
            error = refused
        except Exception:  # a defect met by one frame must not end the thread
            log.exception("a frame could not be decoded")
            error = Internal("the server failed to decode the frame; the operator finds the cause in its log")
        self._seconds.append(time.perf_counter() - began_s)
        with self._lock:
            wanted = self._queue.decoded(step, good=error is None)
            ready = bool(self._queue)
        if wanted and error is None:
            self._batcher.submit([step])
        elif wanted and error is not None:
            self._refuse(step, error)
        if ready:
            self._pool.wake(self)
        return True


class DecodePool:
    """The threads that decode for every bundle."""

    def __init__(self, threads: int) -> None:
        self._count = threads
        self._wake = threading.Condition(threading.Lock())
        self._calls: deque[Decoder] = deque()
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to decode. Once."""
        if self._threads:
            raise RuntimeError("the decoders were started before")
        cv2.setNumThreads(0)  # the pool has a thread for each core already
        for number in range(self._count):
            thread = threading.Thread(target=self._run, name=f"decode-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self, decoder: Decoder) -> None:
        """`decoder` has something to do."""
        with self._wake:
            if decoder not in self._calls:
                self._calls.append(decoder)
                self._wake.notify()

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the threads after the frame that each is at. False: one still runs after `timeout_s`."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if deadline_s is None else max(0.0, deadline_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._calls and not self._stopping:
                    self._wake.wait()
                if self._stopping:
                    return
                decoder = self._calls.popleft()
            decoder.run_once()
