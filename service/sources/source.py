"""One source at work: its lifecycle, its connections one after the other, and its stream in the hub."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from inkling.models.clean_decoding import Damage, said_of_damage
from inkling.service.logs import stream_context
from inkling.service.memory_account import Share
from inkling.service.protocol.codec import End, Reset, Start
from inkling.service.protocol.errors import Draining, OverCapacity, ServiceError
from inkling.service.protocol.image_binary import ImageFrame
from inkling.service.sources.address import Address
from inkling.service.sources.connection import Connection
from inkling.service.sources.definition import SourceDefinition
from inkling.service.sources.fetch_request import FetchRequest, Spool
from inkling.service.sources.lifecycle import Action, Cause, SourceLifecycle, SourceState, SourceTiming
from inkling.service.sources.pipe import Damaged, Ended, Failed, FetchedFrame, Fetching, Looped, Opened, WorkerMessage
from inkling.service.sources.policy import SourcePolicy
from inkling.service.sources.timestamps import SourceClock
from inkling.service.sources.video_memory import VideoMemory
from inkling.service.streams.admitted_stream import AdmittedStream
from inkling.service.streams.stream_group import StreamGroup

log = logging.getLogger(__name__)

GRACE_S = 2.0
"""The process that fetches has time-outs of its own, so much later: this side is the one that knows the cause."""
LAST_FRAMES_S = 5.0
"""Seconds in which the last frames of a source are answered."""

OpenStream = Callable[[Start, str, SourceDefinition], AdmittedStream | StreamGroup]
"""Opens a stream of that id in the hub, or one for each bundle of the definition. Raises ServiceError."""


@dataclass(slots=True)
class SourceCounts:
    """Counts since the server's start; they only rise. lost: connections, by cause.

    damaged: frames that were left out, by cause.
    """

    frames: int = 0
    connects: int = 0
    lost: Counter[Cause] = field(default_factory=Counter)
    damaged: Counter[Damage] = field(default_factory=Counter)

    def add(self, other: SourceCounts) -> None:
        self.frames += other.frames
        self.connects += other.connects
        self.lost.update(other.lost)
        self.damaged.update(other.damaged)


class Source:
    """A source that is at work. Everything runs on the event loop.

    `start` it once; it ends by itself (`lifecycle.final`), or with `remove` (for good) or `stop` (the server's end).
    """

    def __init__(
        self,
        id: str,
        definition: SourceDefinition,
        policy: SourcePolicy,
        timing: SourceTiming,
        open_stream: OpenStream,
        *,
        max_pixels: int,
        spool: Spool,
        memory: Share,
        on_end: Callable[[Source], None] = lambda source: None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """spool: for recordings that must be fetched whole. memory: takes what fetching takes. on_end: called when it
        has ended or failed by itself.

        Raises BadSource, SourceRefused.
        """
        self.id = id
        self.definition = definition
        self.address: Address = definition.address()
        policy.admit(self.address)
        timing = timing.later(definition.interval_s or 0.0)
        self.lifecycle = SourceLifecycle(timing, clock(), local=self.address.scheme == "file", loops=definition.loop)
        self.opened: Opened | None = None
        self.warnings: tuple[str, ...] = ()
        self.stream_warning: str | None = None  # what its stream was told last, of times or of a crowd
        self.tally = SourceCounts()
        self._max_pixels = max_pixels
        self._spool = spool
        self._memory = VideoMemory(memory)
        self._policy = policy
        self._timing = timing
        self._open = open_stream
        self._on_end = on_end
        self._clock = clock
        self._chance = chance
        self._handle: AdmittedStream | StreamGroup | None = None
        self._connection: Connection | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_s = 0.0
        self._absence: asyncio.TimerHandle | None = None  # until everybody has left, since no frame comes
        self._task: asyncio.Task[None] | None = None
        self._times = SourceClock(self.address.scheme != "file", clock())
        self._damaged: Counter[Damage] = Counter()  # on this connection
        self._seq = 0
        self._blocked = False  # the model, not the source, is what is waited for

    @property
    def bundle(self) -> tuple[str, str | None]:
        """Name and version, of the stream while there is one, else as asked for."""
        if self._handle is not None:
            return self._handle.spec.name, self._handle.spec.version
        return self.definition.bundle, self.definition.version

    @property
    def clock_warning(self) -> str | None:
        """What is wrong with the camera's clock now, while frames are timed by their arrival."""
        return self._times.warning

    def frame_warnings(self) -> tuple[str, ...]:
        """What is wrong with its times, or more than can be watched in its pictures, in sentences."""
        return tuple(said for said in (self.clock_warning, self.stream_warning) if said is not None)

    def since_s(self) -> float:
        """Seconds that it has been in its state."""
        return self._clock() - self.lifecycle.since_s

    def retry_in_s(self) -> float | None:
        """Seconds to the next try, while one is due."""
        due_s = self.lifecycle.deadline_s
        if self.lifecycle.state is not SourceState.RETRYING or due_s is None:
            return None
        return max(due_s - self._clock(), 0.0)

    def open_stream(self) -> None:
        """Open its stream, unless it is open. Raises ServiceError, as `Hub.open` does."""
        if self._handle is None or self._handle.closed:
            wanted = self.definition
            if self._handle is not None:
                self._handle.close("the source begins anew")  # of several streams some may be open
            self._handle = self._open(
                Start(
                    bundle=wanted.bundle,
                    version=wanted.version,
                    input="frame",
                    top_k=wanted.top_k,
                    error_rate=wanted.error_rate,
                    unknown=True,
                    policy="block" if wanted.pace == "fast" else "drop_oldest",
                ),
                self.id,
                wanted,
            )

    def reserve(self) -> None:
        """Take the memory that fetching takes, unless it has it. Raises OverCapacity."""
        self._memory.reserve()

    def start(self) -> None:
        """Begin to work."""
        with stream_context(self.id):
            self._task = asyncio.create_task(self._run())

    async def remove(self) -> None:
        """End it for good, whatever it is doing; what is pending is answered first, for a moment."""
        await self._cancel()
        self._memory.close()  # of one that never began
        self.lifecycle.remove(self._clock())
        await self._close_stream(1.0)

    async def stop(self) -> None:
        """Stop fetching because the server stops; its stream is drained with the others."""
        await self._cancel()

    async def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Work until it has ended or failed by itself; `on_end` hears of it, also when the server stops just then."""
        try:
            await self._work()
        finally:
            self._memory.close()
            if self.lifecycle.final:
                self._on_end(self)

    async def _work(self) -> None:
        lifecycle = self.lifecycle
        try:
            while not lifecycle.final:
                await asyncio.sleep(self.retry_in_s() or 0.0)
                if lifecycle.tick(self._clock()) is not Action.CONNECT:  # woken a little early
                    continue
                lifecycle.connect(self._clock())
                self.tally.connects += 1
                try:
                    self.reserve()
                    self.open_stream()
                except (OverCapacity, Draining) as error:
                    self._lost(Cause.CAPACITY, str(error))
                except ServiceError as error:
                    self._lost(Cause.NO_BUNDLE, str(error))
                else:
                    await self._connect()
        except Exception:
            log.exception("source %s failed", self.address)
            if not lifecycle.final:
                lifecycle.fail(
                    Cause.CRASHED, "the server failed; the operator finds the cause in its log", self._clock()
                )
        if lifecycle.state is SourceState.FAILED:
            log.warning("source %s failed: %s (%s)", self.address, lifecycle.message, lifecycle.cause)
        else:
            log.info("source %s has ended", self.address)
        await self._close_stream(LAST_FRAMES_S)

    async def _connect(self) -> None:
        self._times.begin()
        self._damaged.clear()
        self._arm()
        self._connection = Connection(self._fetch_request())
        began_s = self._clock()
        try:
            async with self._connection as connection:
                async for message in connection.messages():
                    if not self.lifecycle.active:
                        break  # given up meanwhile
                    await self._on_message(message, began_s)
        except OSError as error:  # too many processes, say
            if self.lifecycle.active:
                self._lost(Cause.CRASHED, f"the process that fetches cannot be started: {error.strerror}")
        finally:
            self._connection = None
            self._disarm()
        if self.lifecycle.active:
            self._lost(Cause.CLOSED, "the connection ended")

    async def _on_message(self, message: WorkerMessage, began_s: float) -> None:
        now_s = self._clock()
        match message:
            case FetchedFrame():
                await self._pass_on(message, min(max(message.arrived_s, began_s), now_s))
            case Opened():
                if self.lifecycle.state is SourceState.CONNECTING:
                    self.opened = message
                    self.lifecycle.opened(now_s)
                    self._grant(message)
            case Fetching():
                if self.lifecycle.state is SourceState.CONNECTING:
                    self.lifecycle.opened(now_s, message.said)
            case Looped():
                self._times.begin()
                self._reset()
            case Damaged():
                self._count_damage(message.counts)
            case Ended():
                self.warnings = message.warnings or self.warnings
                self.lifecycle.finish(now_s)
            case Failed():
                if message.cause is Cause.MEMORY:
                    self._memory.was_too_little()
                self._lost(message.cause, self.address.scrub(message.message))
        self._arm()

    async def _pass_on(self, picture: FetchedFrame, arrived_s: float) -> None:
        handle = self._handle
        if handle is None or handle.closed:
            self._lost(Cause.CLOSED, "the server closed the stream")
            return
        if self.lifecycle.state is not SourceState.LIVE:
            log.info("source %s is live", self.address)
        self.lifecycle.frame(self._clock())
        self._present()
        self.tally.frames += 1
        pts_s = self._times.stamp(picture.media_s, arrived_s)
        handle.receive(ImageFrame(self._seq, pts_s, picture.image, picture.size))
        self._seq += 1
        if self.definition.pace == "fast":
            self._blocked = True
            try:
                await handle.writable()
            finally:
                self._blocked = False

    def _count_damage(self, counts: Mapping[Damage, int]) -> None:
        """Said once in the log for each connection."""
        first = not self._damaged
        self._damaged.update(counts)
        self.tally.damaged.update(counts)
        self.warnings = tuple(said_of_damage(self._damaged))
        if first:
            log.warning("source %s: %s", self.address, *self.warnings)

    def _grant(self, opened: Opened) -> None:
        """Give the connection what pictures of this size take, if there is as much."""
        try:
            more = self._memory.fit(opened.width, opened.height)
        except OverCapacity as error:
            self._lost(Cause.CAPACITY, str(error))
        else:
            if self._connection is not None:
                self._connection.give_memory(more)

    def _lost(self, cause: Cause, message: str) -> None:
        self.lifecycle.lost(cause, message, self._clock(), self._chance())
        self._log_loss()

    def _log_loss(self) -> None:
        """The source is not live: once in the log for each time, at a level that does not flood it."""
        lifecycle = self.lifecycle
        self._expect_nobody()
        if lifecycle.cause is not None and lifecycle.state is SourceState.RETRYING:
            self.tally.lost[lifecycle.cause] += 1
            level = logging.WARNING if lifecycle.failures == 1 else logging.INFO
            log.log(level, "source %s is lost: %s (%s)", self.address, lifecycle.message, lifecycle.cause)

    def _arm(self) -> None:
        """Wake up at the machine's deadline, wherever the connection hangs.

        Each frame puts the deadline off: then the timer is left as it is, and finds out when it is due.
        """
        due_s = self.lifecycle.deadline_s
        if due_s is None or not self.lifecycle.active or (self._timer is not None and self._timer_s <= due_s):
            return
        self._disarm()
        self._timer_s = due_s
        self._timer = asyncio.get_running_loop().call_later(max(due_s - self._clock(), 0.001), self._tick)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = None
        if self._blocked:
            self.lifecycle.frame(self._clock())
        elif self.lifecycle.tick(self._clock(), self._chance()) is Action.DROP:
            self._log_loss()
            if self._connection is not None:
                self._connection.kill()
            return
        elif self.lifecycle.state is SourceState.STALLED:
            self._expect_nobody()
        self._arm()

    def _expect_nobody(self) -> None:
        """No frame comes any more. Unless one does before anybody could be lost for too long, all have left."""
        handle = self._handle
        if self._absence is None and handle is not None and not handle.closed:
            self._absence = asyncio.get_running_loop().call_later(handle.spec.gaps.max_gap_s, self._nobody)

    def _nobody(self) -> None:
        self._absence = None
        if self._handle is not None and not self._handle.closed:
            self._handle.absent()

    def _present(self) -> None:
        """A frame has come."""
        if self._absence is not None:
            self._absence.cancel()
            self._absence = None

    def _reset(self) -> None:
        if self._handle is not None and not self._handle.closed:
            self._handle.receive(Reset())

    async def _close_stream(self, wait_s: float) -> None:
        """Have what is pending answered, then give the stream's place back."""
        self._present()
        handle = self._handle
        if handle is None or handle.closed:
            return
        try:
            async with asyncio.timeout(wait_s):
                handle.receive(End())
                await handle.finished()
        except TimeoutError:
            log.warning("the last frames of source %s were not answered in time", self.address)
        finally:
            handle.close("the source has ended")

    def _fetch_request(self) -> FetchRequest:
        if self._handle is None:
            raise TypeError("a source that fetches has a stream")
        height, width, fit = self._handle.picture_size
        wanted, timing = self.definition, self._timing
        return FetchRequest(
            url=wanted.url,
            height=height,
            width=width,
            fit=fit,
            transport=wanted.transport,
            pace=wanted.pace,
            loop=wanted.loop,
            fps=wanted.fps,
            aspect=wanted.aspect,
            rotate=wanted.rotate,
            open_s=timing.open_s + GRACE_S,
            read_s=timing.read_s + GRACE_S,
            max_pixels=self._max_pixels,
            memory_bytes=self._memory.video_bytes,
            policy=self._policy,
            interval_s=wanted.interval_s,
            spool=self._spool,
        )
