"""From the engines' and decoders' threads to the event loop: what became of a batch, brought to its sessions.

Engine threads never touch a session. They append to a deque and wake the loop, once for all that it has yet to see.
No lock is taken. That is safe because `deque.append` and `popleft` are atomic under the GIL (CPython guards each of
them by a lock of the deque's own in a free-threaded build), and because the flag `_waking` is cleared before the
deque is read: an outcome that comes too late for this reading finds the flag cleared and wakes the loop again. At worst
the loop looks once in vain.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from inkling.service.engine.batcher import BatchOutcome
from inkling.service.engine.scheduler import Step
from inkling.service.perception.perceiver import PerceptionOutcome
from inkling.service.perception.perception import Perception
from inkling.service.perception.picture_step import PictureStep
from inkling.service.perception.shared_perception import SharedPictureStep
from inkling.service.protocol.errors import Internal, ServiceError
from inkling.service.streams.in_flight import FramePerception, PersonStep
from inkling.service.streams.loaded_bundle import LoadedBundle
from inkling.service.streams.observer import BatchReport, Observer

log = logging.getLogger(__name__)


class Delivery:
    """One for all bundles of a server. `post` and `refuse` may be called from any thread."""

    def __init__(self, clock: Callable[[], float], observer: Observer | None) -> None:
        self._clock = clock
        self._observer = observer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outcomes: deque[Callable[[], None]] = deque()  # not delivered
        self._waking = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Deliver on `loop` from now on."""
        self._loop = loop

    def post(self, bundle: LoadedBundle, outcome: BatchOutcome) -> None:
        """A batch is done. On the engine's thread."""
        if bundle.decoder is not None:
            bundle.decoder.answered(outcome.answered)
            bundle.decoder.answered(outcome.failed)
        self._post(partial(self._deliver_batch, bundle, outcome))

    def post_pictures(self, perception: Perception, outcome: PerceptionOutcome) -> None:
        """A batch of pictures is done. On perception's thread."""
        self._post(partial(self._deliver_pictures, perception, outcome))

    def _post(self, deliver: Callable[[], None]) -> None:
        self._outcomes.append(deliver)
        if not self._waking:  # else the loop has yet to look, and finds this one too
            self._waking = True
            self._call_on_loop(self._deliver)

    def refuse(self, step: Step, error: ServiceError) -> None:
        """What a step should have seen cannot be decoded. On a decoder's thread."""
        if isinstance(step, PersonStep | PictureStep):
            self._call_on_loop(lambda: step.refused(error, self._clock()))

    def _call_on_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _deliver(self) -> None:
        """Every batch that is done."""
        self._waking = False
        while self._outcomes:
            self._outcomes.popleft()()

    def _deliver_batch(self, bundle: LoadedBundle, outcome: BatchOutcome) -> None:
        now_s = self._clock()
        unknown = outcome.unknown if outcome.unknown is not None else [None] * len(outcome.answered)
        answers = zip(outcome.answered, outcome.probabilities, outcome.best, outcome.rows, unknown, strict=True)
        for step, probabilities, best, row, score in answers:
            try:
                step.answered(probabilities, best, now_s, row, score)
            except Exception:  # a defect in one stream's path: it ends, the rest of the batch is delivered
                log.exception("a result could not be delivered: its stream is closed")
                _end_stream(step)
        _fail(outcome.failed, now_s)
        if self._observer is not None:
            self._report(self._observer, bundle, outcome, now_s)

    def _deliver_pictures(self, perception: Perception, outcome: PerceptionOutcome) -> None:
        now_s = self._clock()
        for picture in outcome.seen:
            try:
                picture.seen(now_s)
            except Exception:  # a defect in one stream's path: it ends, the others of the batch go on
                log.exception("people could not be delivered: their stream is closed")
                _end_stream(picture)
        _fail(outcome.failed, now_s)
        if self._observer is not None:
            self._observer.perceived(perception.model.name, outcome.runs, outcome.queue_s, len(outcome.failed))
            self._observer.decoded(perception.model.name, perception.take_decode_seconds())

    @staticmethod
    def _report(observer: Observer, bundle: LoadedBundle, outcome: BatchOutcome, now_s: float) -> None:
        name = bundle.spec.full_name
        latency_s = [now_s - step.submitted_s for step in outcome.answered]
        failed = len(outcome.failed) == outcome.size
        observer.batch(BatchReport(name, outcome.size, outcome.queue_s, outcome.step_s, latency_s, failed))
        if bundle.decoder is not None:
            observer.decoded(name, bundle.decoder.take_seconds())


def _fail(steps: Sequence[Step], now_s: float) -> None:
    for step in steps:
        try:
            step.failed(now_s)
        except Exception:  # a defect in one stream's path: it ends, the others are told
            log.exception("a failure could not be delivered: its stream is closed")
            _end_stream(step)


def _end_stream(step: Step) -> None:
    pictures = step.wanted if isinstance(step, SharedPictureStep) else [step]
    for step in pictures:
        if isinstance(step, PersonStep | FramePerception):
            step.frame.session.fail(Internal("the server failed; the operator finds the cause in its log"))
