"""A thread that runs steps in batches, continuously and without a timer: the engines' and perception's.

It takes whatever is ready, runs it, hands all results over in one call, and repeats; it sleeps only when nothing is
ready. A stream that is alone waits for no other; under load, batches grow by themselves.

Steps are handed over without a lock, so that the event loop never waits for the thread. This relies on the GIL twice:
`deque.extend` of a list and `popleft` are each done in one piece, and each thread sees the other's writes in the order
in which they were made. `submit` appends and then asks whether the thread sleeps; the thread says that it sleeps and
then looks for the last time; so one of the two sees the other. Only waking it takes the lock.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from inkling.service.engine.scheduler import Lane, Scheduler, Step

log = logging.getLogger(__name__)

TOGETHER_S = 0.002
"""Results of batches that follow each other without a break may wait so long for each other."""

Outcome = TypeVar("Outcome")
"""What became of one batch."""


class BatchThread(ABC, Generic[Outcome]):
    """`submit`, `cancel` and `close` may be called from any thread, before `start` too."""

    def __init__(self, name: str, post: Callable[[Outcome], None], max_batch: int, clock: Callable[[], float]) -> None:
        """name: of the thread. post: called on the thread once per batch; must return soon."""
        self._name = name
        self._post = post
        self._max_batch = max_batch
        self._clock = clock
        self._scheduler = Scheduler()
        self._wake = threading.Condition(threading.Lock())
        self._arrived: deque[Step] = deque()  # submitted, not fetched
        self._done: list[Outcome] = []  # batches that ran, not posted
        self._asleep = False
        self._waking = False  # a wake-up is on its way
        self._soon: Callable[[Callable[[], None]], object] | None = None
        self._stopping = False
        self._thread_ready = threading.Event()
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _step(self, steps: list[Step]) -> tuple[Outcome, list[bool] | None]:
        """Run one batch, each step of another lane; also which of them advanced, None: all. Never raises."""

    def _prepare_thread(self) -> None:
        """What must happen on the thread before its first batch."""

    def submit(self, steps: Iterable[Step]) -> None:
        """Queue steps behind those of their tracks. Takes no lock: the thread fetches what has arrived."""
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
        """Begin to run what is submitted. Once. Returns when the thread has prepared itself.

        soon: calls later what it is given, on the one thread that submits, e.g. at the end of the event loop's turn:
        then all that the turn submits is in the batch that it wakes the thread for.
        """
        if self._thread is not None:
            raise RuntimeError("the batcher was started before")
        self._soon = soon
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
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
        """Whether the thread waits for something to do."""
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
            self._prepare_thread()
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
