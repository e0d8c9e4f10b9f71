"""Decoding, between the sessions and the batcher: a bounded pool of threads that keeps each track's frames in order.

A frame waits undecoded, so that one which is dropped costs nothing, and is decoded when its track has less than
`AHEAD` frames decoded and not answered: while the model steps one, the next is being decoded. Who is next is decided
in `decode_queue`.
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
from inkling.service.inputs.decode_cost import DecodeCost
from inkling.service.inputs.decode_queue import DecodeQueue
from inkling.service.protocol.errors import Internal, ServiceError

log = logging.getLogger(__name__)


class Decoder:
    """One bundle's decoding, in front of its batcher: the queue that its sessions submit to. Any thread.

    decode: turns a step's `x` into an array, on a thread of the pool; raises ServiceError for a frame that is refused.
    refuse: told of each such step, on that thread. cost: what decoding an `x` is estimated to take.
    """

    def __init__(
        self,
        pool: DecodePool,
        batcher: StepQueue,
        decode: Callable[..., Any],
        refuse: Callable[[Step, ServiceError], None],
        cost: Callable[[Any], DecodeCost],
    ) -> None:
        self._pool = pool
        self._batcher = batcher
        self._decode = decode
        self._refuse = refuse
        self._cost = cost
        self._seconds: deque[float] = deque(maxlen=4096)  # written by any thread without a lock: relies on the GIL

    def submit(self, steps: Iterable[Step]) -> None:
        self._pool.submit(self, self._cost, steps)

    def cancel(self, steps: Sequence[Step]) -> bool:
        """Take back all of `steps`, or none when decoding one has begun."""
        return self._pool.cancel(steps)

    def close(self, lane: Lane) -> None:
        self._batcher.close(lane)  # first, so that nothing is queued for it after this
        self._pool.close(lane)

    def answered(self, steps: Iterable[Step]) -> None:
        """The batcher has run these: their tracks may decode more."""
        self._pool.answered(steps)

    def take_seconds(self) -> list[float]:
        """How long decoding took, of each frame since the call before (the last 4,096 of them)."""
        return [self._seconds.popleft() for _ in range(len(self._seconds))]

    def decode(self, step: Step) -> tuple[float, ServiceError | None]:
        """Put the pixels in the place of what `step` brought; how long that took, and why it could not be done."""
        began_s = time.perf_counter()
        error: ServiceError | None = None
        try:
            step.x = self.pixels(step)
        except ServiceError as refused:
            error = refused
        except Exception:  # a defect met by one frame must not end the thread
            log.exception("a frame could not be decoded")
            error = Internal("the server failed to decode the frame; the operator finds the cause in its log")
        seconds = time.perf_counter() - began_s
        self._seconds.append(seconds)
        return seconds, error

    def pixels(self, step: Step) -> Any:
        """What takes the place of what `step` brought. Raises ServiceError for a frame that is refused."""
        return self._decode(step.x)

    def hand_on(self, step: Step, error: ServiceError | None) -> None:
        """The step is decoded, or refused, and somebody waits for it."""
        if error is None:
            self._batcher.submit([step])
        else:
            self._refuse(step, error)


class DecodePool:
    """The threads that decode for every bundle."""

    def __init__(self, threads: int) -> None:
        self._count = threads
        self._queue: DecodeQueue[Decoder] = DecodeQueue(threads)
        self._wake = threading.Condition(threading.Lock())
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

    def submit(self, decoder: Decoder, cost: Callable[[Any], DecodeCost], steps: Iterable[Step]) -> None:
        with self._wake:
            self._queue.submit(decoder, cost, steps)
            self._notify()

    def cancel(self, steps: Sequence[Step]) -> bool:
        with self._wake:
            return self._queue.cancel(steps)

    def close(self, lane: Lane) -> None:
        with self._wake:
            self._queue.close(lane)

    def answered(self, steps: Iterable[Step]) -> None:
        with self._wake:
            self._queue.answered(steps)
            self._notify()

    def run_once(self) -> bool:
        """Decode one frame, if one may be; whether there was one. For tests without threads."""
        with self._wake:
            taken = self._queue.take()
        if taken is not None:
            self._decode(*taken)
        return taken is not None

    def stop(self, timeout_s: float | None = None) -> bool:
        """End the threads after the frame that each is at. False: one still runs after `timeout_s`."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(None if deadline_s is None else max(0.0, deadline_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _notify(self) -> None:
        if self._queue:
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                taken = None
                while not self._stopping and (taken := self._queue.take()) is None:
                    self._wake.wait()
                if taken is None:
                    return
                self._notify()  # of several that wait, each thread wakes the next
            self._decode(*taken)

    def _decode(self, step: Step, decoder: Decoder) -> None:
        seconds, error = decoder.decode(step)
        with self._wake:
            wanted = self._queue.waits_for(step)
        if wanted:
            decoder.hand_on(step, error)  # before its lane may decode the next frame, which must not overtake it
        with self._wake:
            self._queue.decoded(step, error is None, seconds)
            self._notify()
