"""The seam between the shells (socket, REST, later cameras) and the core: who may open a stream, and who runs it.

    hub = Hub(Limits(...), observer)
    hub.load(inkling.models.bundle.load(path))          # blocking, once per bundle: verifies and warms up
    hub.start(asyncio.get_running_loop())       # engine threads on
    handle = hub.open(start, outbox)            # admission; raises a ServiceError or sends `ready` through outbox
    handle.receive(message)                     # what protocol.decode gave; answers come through outbox, in order
    await handle.writable()                     # policy `block`: before reading the next message
    handle.close("disconnected")                # whatever happened; idempotent
    hub.drain(); await hub.drained(); await hub.stop()

Everything here but `load` runs on the event loop's thread. Engine threads never touch a session: a batch comes
back through one `call_soon_threadsafe`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from inkling.models.bundle import Bundle
from inkling.models.bundle.schema import BundleSpec, FrameInput
from inkling.models.errors import BundleInvalid
from inkling.service.engine.batcher import Batcher, Outcome
from inkling.service.engine.canary import Canary
from inkling.service.engine.device_engine import buckets, engine_for
from inkling.service.engine.onnx_engine import Device
from inkling.service.engine.scheduler import Step
from inkling.service.engine.state_pool import StatePool
from inkling.service.inputs.decode_pool import DecodePool, Decoder
from inkling.service.inputs.frame_mapper import FrameMapper
from inkling.service.inputs.pose_mapper import PoseMapper
from inkling.service.protocol.codec import Start
from inkling.service.protocol.errors import Draining, Internal, OverCapacity, ServiceError, UnknownBundle, UnknownStream
from inkling.service.streams.broadcast import Follower, Outlet, Room
from inkling.service.streams.handle import Handle
from inkling.service.streams.in_flight import Work
from inkling.service.streams.limits import Limits
from inkling.service.streams.observer import BatchReport, Observer
from inkling.service.streams.responder import Outbox
from inkling.service.streams.session import Session
from inkling.service.streams.stats import BundleStats, Counts, StreamInfo

log = logging.getLogger(__name__)

_STOP_S = 5.0
"""How long `stop` waits for an engine that is in the middle of a batch."""


@dataclass(slots=True)
class _Runtime:
    """A loaded bundle with what runs it."""

    spec: BundleSpec
    pool: StatePool
    batcher: Batcher
    canary: Canary | None = None
    images: FrameMapper | None = None
    decoder: Decoder | None = None
    """Both only of a bundle that takes images."""
    sessions: dict[str, Session] = field(default_factory=dict)
    closed: Counts = field(default_factory=Counts)
    mappers: dict[str | None, PoseMapper] = field(default_factory=dict)

    @property
    def queue(self) -> Batcher | Decoder:
        """Where sessions send their steps."""
        return self.decoder or self.batcher

    def mapper(self, start: Start) -> PoseMapper | FrameMapper:
        """One for all streams of a skeleton: the batcher prepares the rows of one mapper in one call."""
        if self.images is not None and start.input == "frame":
            return self.images
        mapper = self.mappers.get(start.skeleton)
        if mapper is None or start.input != "pose":
            mapper = self.mappers[start.skeleton] = PoseMapper(self.spec, start)
        return mapper

    def forget(self, session: Session) -> None:
        del self.sessions[session.stream]
        self.closed.add(session.tally())

    def stats(self) -> BundleStats:
        counts = Counts()
        counts.add(self.closed)
        tracks = 0
        for session in self.sessions.values():
            counts.add(session.tally())
            tracks += len(session.tracks)
        used = self.pool.used
        watched = {} if self.canary is None else {"canary": (self.canary.steps, self.canary.difference)}
        return BundleStats(self.spec, len(self.sessions), tracks, used, self.pool.slots - used, counts, **watched)


class Hub:
    """Loaded bundles, their engine threads, and the open streams."""

    def __init__(
        self,
        limits: Limits | None = None,
        observer: Observer | None = None,
        *,
        threads: int | None = None,
        decode_threads: int | None = None,
        device: Device = "cpu",
        graphs: bool = True,
        canary: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """threads: onnxruntime's threads per bundle; decode_threads: those that decode images, for all bundles.

        None: as many as there are cores that this process may use. graphs: CUDA graphs may be used. canary: one track
        in so many is also stepped alone; 0: none.
        """
        self.limits = limits or Limits()
        self.device = device
        self.draining = False
        self._observer = observer
        self._threads = threads
        self._graphs = graphs
        self._canary = canary
        self._clock = clock
        self._decoders = DecodePool(decode_threads or len(os.sched_getaffinity(0)))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runtimes: dict[tuple[str, str], _Runtime] = {}  # by name, newest version first
        self._handles: dict[str, Handle] = {}
        self._outcomes: deque[tuple[_Runtime, Outcome]] = deque()  # from the engines, not delivered
        self._delivering = False
        self._outlets: dict[str, Outlet] = {}
        self._followers = Room(self.limits.max_followers)

    def load(self, bundle: Bundle) -> None:
        """Build the engine, verify the stored vector and warm up. Blocks (call before serving, or in a thread).

        Raises BundleError when the graph does not hold its contract, or the name and version are already loaded.
        """
        spec = bundle.spec
        if (spec.name, spec.version) in self._runtimes:
            raise BundleInvalid(bundle.path, f"{spec.full_name} is loaded already")
        engine = engine_for(bundle, self._threads, self.device, graphs=self._graphs)
        limit = self.limits.max_batch
        engine.warm(buckets(limit))
        pool = engine.pool(self.limits.slots, limit)
        canary = Canary(engine, self._canary, self.limits.slots) if self._canary else None
        runtime = _Runtime(
            spec,
            pool,
            Batcher(canary or engine, pool, lambda outcome: self._post(runtime, outcome), limit, self._clock),
            canary,
        )
        if isinstance(spec.input, FrameInput):
            images = FrameMapper(spec, Start(bundle=spec.name, input="frame"), self.limits.max_pixels)
            runtime.images = images
            runtime.decoder = Decoder(self._decoders, runtime.batcher, images.decode, self._refuse)
        runtimes = {**self._runtimes, (spec.name, spec.version): runtime}
        newest_first = sorted(runtimes.items(), key=lambda item: _numbers(item[1].spec.version), reverse=True)
        self._runtimes = dict(sorted(newest_first, key=lambda item: item[1].spec.name))
        if self._loop is not None:
            self._run(runtime)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the engine threads; results are delivered on `loop`. Once."""
        if self._loop is not None:
            raise RuntimeError("the hub was started before")
        self._loop = loop
        self._decoders.start()
        for runtime in self._runtimes.values():
            self._run(runtime)

    def open(
        self,
        start: Start,
        outbox: Outbox,
        stream: str | None = None,
        write: Callable[[str | bytes], None] | None = None,
    ) -> Handle:
        """Admit a stream; sends `Ready` through `outbox` before it returns. stream: its id, of a source that has one.

        write: gets predictions as they go over the wire, in place of `outbox`.

        Raises Draining, OverCapacity, UnknownBundle (version None: the newest loaded), UnsupportedInput,
        UnknownErrorRate.
        """
        if self.draining:
            raise Draining("the server is shutting down: connect to another one, or again in a moment")
        if len(self._handles) >= self.limits.max_streams:
            raise OverCapacity(f"all {self.limits.max_streams} streams are in use: try again later")
        runtime = self._find(start.bundle, start.version)
        stream = stream or secrets.token_urlsafe(9)
        if stream in self._handles:
            raise ValueError(f"stream {stream} is open already")
        outlet = Outlet(outbox, self._followers) if write is None else Outlet(outbox, self._followers, write)
        session = Session(
            stream,
            runtime.spec,
            start,
            self.limits,
            runtime.mapper(start),
            runtime.pool,
            runtime.queue,
            outlet,
            self._clock(),
            None if write is None else outlet,
        )
        runtime.sessions[stream] = session
        handle = self._handles[stream] = Handle(session, self._clock)
        self._outlets[stream] = outlet

        def forget() -> None:
            del self._handles[stream]
            self._outlets.pop(stream).close()
            runtime.forget(session)

        session.on_close.append(forget)
        return handle

    def follow(self, stream: str, limit: int) -> Follower:
        """Listen to an open stream from now on; `limit` messages may wait. Close the follower in the end.

        Raises UnknownStream, OverCapacity.
        """
        if stream not in self._outlets:
            raise UnknownStream("no stream of that id is open")
        return self._outlets[stream].follow(limit)

    @property
    def followers(self) -> int:
        """Who listens, over all streams."""
        return self._followers.used

    def spec(self, name: str, version: str | None = None) -> BundleSpec:
        """A loaded bundle, by default its newest version. Raises UnknownBundle."""
        return self._find(name, version).spec

    def bundles(self) -> list[BundleSpec]:
        """Loaded bundles by name, newest version first."""
        return [runtime.spec for runtime in self._runtimes.values()]

    def stats(self) -> list[BundleStats]:
        """Figures of each loaded bundle, in the order of `bundles`."""
        return [runtime.stats() for runtime in self._runtimes.values()]

    def streams(self) -> list[StreamInfo]:
        """Open streams, oldest first."""
        now_s = self._clock()
        return [handle.info(now_s) for handle in self._handles.values()]

    def drain(self) -> None:
        """No new streams; each open one gets an `error` message `draining`, its pending results and its summary."""
        self.draining = True
        now_s = self._clock()
        for runtime in self._runtimes.values():
            for session in list(runtime.sessions.values()):
                session.drain(now_s)

    async def drained(self) -> None:
        """Wait until no stream is open. Bound the wait yourself (`asyncio.timeout`)."""
        while self._handles:
            await next(iter(self._handles.values())).finished()

    async def stop(self) -> None:
        """Close what is still open and join the engine threads. Idempotent."""
        self.draining = True
        for handle in list(self._handles.values()):
            handle.close("the server stops")
        if not await asyncio.to_thread(self._decoders.stop, _STOP_S):
            log.error("a decoder did not stop within %g s", _STOP_S)
        for runtime in self._runtimes.values():
            if not await asyncio.to_thread(runtime.batcher.stop, _STOP_S):
                log.error("the engine of %s did not stop within %g s", runtime.spec.name, _STOP_S)

    def _find(self, name: str, version: str | None) -> _Runtime:
        versions = [runtime for runtime in self._runtimes.values() if runtime.spec.name == name]
        for runtime in versions:
            if version is None or runtime.spec.version == version:
                return runtime
        if versions:
            known = ", ".join(runtime.spec.version for runtime in versions)
            raise UnknownBundle(f"bundle {name!r} has no version {version!r} here; loaded: {known}")
        known = ", ".join(dict.fromkeys(spec.name for spec in self.bundles()))
        raise UnknownBundle(f"no bundle {name!r} here; loaded: {known or 'none'}")

    def _run(self, runtime: _Runtime) -> None:
        """Start a bundle's engine. Streams submit on the loop's thread, decoders on theirs."""
        assert self._loop is not None  # noqa: S101 - both callers know it
        runtime.batcher.start(self._loop.call_soon if runtime.decoder is None else None)

    def _post(self, runtime: _Runtime, outcome: Outcome) -> None:
        """From the engine's thread to the loop's: once per batch."""
        if runtime.decoder is not None:
            runtime.decoder.answered(outcome.answered)
            runtime.decoder.answered(outcome.failed)
        self._outcomes.append((runtime, outcome))
        if not self._delivering:  # else the loop has yet to look, and finds this one too
            self._delivering = True
            self._on_loop(self._deliver_all)

    def _refuse(self, step: Step, error: ServiceError) -> None:
        """From a decoder's thread to the loop's."""
        if isinstance(step, Work):
            self._on_loop(lambda: step.refused(error, self._clock()))

    def _on_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *arguments)

    def _deliver_all(self) -> None:
        self._delivering = False
        while self._outcomes:
            self._deliver(*self._outcomes.popleft())

    def _deliver(self, runtime: _Runtime, outcome: Outcome) -> None:
        now_s = self._clock()
        answers = zip(outcome.answered, outcome.probabilities, outcome.best, outcome.rows, strict=True)
        for step, probabilities, best, row in answers:
            try:
                step.answered(probabilities, best, now_s, row)
            except Exception:  # a defect in one stream's path: it ends, the rest of the batch is delivered
                log.exception("a result could not be delivered: its stream is closed")
                _abandon(step)
        for step in outcome.failed:
            try:
                step.failed(now_s)
            except Exception:  # a defect in one stream's path: it ends, the rest of the batch is delivered
                log.exception("a result could not be delivered: its stream is closed")
                _abandon(step)
        if self._observer is not None:
            latency_s = [now_s - step.submitted_s for step in outcome.answered]
            failed = len(outcome.failed) == outcome.size
            self._observer.batch(
                BatchReport(runtime.spec.full_name, outcome.size, outcome.queue_s, outcome.step_s, latency_s, failed)
            )
            if runtime.decoder is not None:
                self._observer.decoded(runtime.spec.full_name, runtime.decoder.take_seconds())


def _abandon(step: Step) -> None:
    if isinstance(step, Work):
        step.frame.session.fail(Internal("the server failed; the operator finds the cause in its log"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
