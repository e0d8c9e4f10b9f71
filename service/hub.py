"""The seam between the shells (socket, REST, later cameras) and the core: who may open a stream, and who runs it.

    hub = Hub(Limits(...), observer)
    hub.load(models.bundle.load(path))          # blocking, once per bundle: verifies and warms up
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
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from models.bundle import Bundle
from models.bundle.schema import BundleSpec
from service.errors import ServiceError
from service.protocol import End, Flush, Outgoing, PackedPose, Reset, Start

Outbox = Callable[[Outgoing], None]
"""Takes a stream's messages in order, on the loop's thread. Must not block, await or raise.

The first message is `Ready`; after `Summary` (or after `close`) none follows."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server takes on. inbox: unanswered frames of a stream (= its credits). slots: tracks per bundle."""

    max_streams: int = 256
    slots: int = 1024
    max_people: int = 32
    inbox: int = 8
    max_batch: int = 256
    track_timeout_s: float = 10.0


@dataclass(slots=True)
class BatchReport:
    """One engine batch, for metrics. queue_s, latency_s: one value per step (submitted to taken; received to answered).

    `latency_s` has entries only for steps that gave a prediction. `failed`: the batch raised, nothing was stepped.
    """

    bundle: str
    size: int
    queue_s: Sequence[float]
    step_s: float
    latency_s: Sequence[float]
    failed: bool


class Observer(Protocol):
    """What metrics may hook into. Called on the loop's thread, once per batch; must not raise."""

    def batch(self, report: BatchReport) -> None: ...


@dataclass(slots=True)
class Counts:
    """Frames and resets since the start, of a stream or a bundle; they only rise.

    received = stepped + skipped + refused + sum(dropped) + waiting. dropped: by cause (`overflow`, `failed`, `no_slot`,
    `closed`). resets: by reason (`gap`, `backward`, `requested`, `evicted`). errors: sent through outboxes, by code.
    """

    received: int
    stepped: int
    skipped: int
    refused: int
    dropped: dict[str, int]
    resets: dict[str, int]
    errors: dict[str, int]
    tracks: int
    """Tracks ever seen."""


@dataclass(frozen=True, slots=True)
class BundleStats:
    """A loaded bundle's figures now, for /metrics and /v1/bundles."""

    spec: BundleSpec
    streams: int
    tracks: int
    slots_used: int
    slots_free: int
    counts: Counts
    """Of open and closed streams together."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One open stream, for /v1/streams."""

    stream: str
    bundle: str
    version: str
    policy: str
    since_s: float
    """Seconds that it has been open."""
    tracks: int
    waiting: int
    counts: Counts


class Handle:
    """An open stream, as a shell holds it."""

    stream: str
    """Its id, as in `Ready.stream`."""
    spec: BundleSpec
    """The bundle that it runs on."""

    def receive(self, message: Start | PackedPose | Reset | Flush | End) -> None:
        """Take one decoded message; answers go to the outbox, now or later.

        Refusals that the stream survives (BadPose, TooManyPeople, NoSlot, ...) go to the outbox as `error` messages.
        Raises OutOfOrder (a second start, anything after end): send it and close. After `close` it does nothing.
        """
        raise NotImplementedError

    def refuse(self, error: ServiceError) -> None:
        """Count and answer a frame that `protocol.decode` refused (an error whose `close` is None)."""
        raise NotImplementedError

    async def writable(self) -> None:
        """Policy `block`: wait until the inbox has room (or the stream is closed). `drop_oldest`: return at once."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """True after `close`, and after the summary was sent."""
        raise NotImplementedError

    async def finished(self) -> None:
        """Wait until the stream is closed, e.g. for everything after `End` to be answered."""
        raise NotImplementedError

    def close(self, reason: str) -> None:
        """Drop what is pending, give the slots back, send nothing more. Idempotent; a no-op after the summary."""
        raise NotImplementedError


class Hub:
    """Loaded bundles, their engine threads, and the open streams."""

    draining: bool

    def __init__(
        self,
        limits: Limits | None = None,
        observer: Observer | None = None,
        *,
        threads: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """threads: onnxruntime's threads per bundle; None: the cores this process may use."""
        raise NotImplementedError

    def load(self, bundle: Bundle) -> None:
        """Build the engine, verify the stored vector and warm up. Blocks (call before serving, or in a thread).

        Raises BundleError when the graph does not hold its contract, or the name and version are already loaded.
        """
        raise NotImplementedError

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the engine threads; results are delivered on `loop`."""
        raise NotImplementedError

    def open(self, start: Start, outbox: Outbox) -> Handle:
        """Admit a stream; sends `Ready` through `outbox` before it returns.

        Raises Draining, OverCapacity, UnknownBundle (version None: the newest loaded), UnsupportedInput.
        """
        raise NotImplementedError

    def bundles(self) -> list[BundleSpec]:
        """Loaded bundles by name, newest version first."""
        raise NotImplementedError

    def stats(self) -> list[BundleStats]:
        """Figures of each loaded bundle, in the order of `bundles`."""
        raise NotImplementedError

    def streams(self) -> list[StreamInfo]:
        """Open streams, oldest first."""
        raise NotImplementedError

    def drain(self) -> None:
        """No new streams; each open one gets an `error` message `draining`, its pending results and its summary."""
        raise NotImplementedError

    async def drained(self) -> None:
        """Wait until no stream is open. Bound the wait yourself (`asyncio.timeout`)."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Close what is still open and join the engine threads. Idempotent."""
        raise NotImplementedError
