"""The seam between the shells (socket, REST, sources) and the core: who may open a stream, and who runs it.

    hub = Hub(Limits(...), observer)
    hub.load(inkling.models.bundle.load(path))          # blocking, once per bundle: verifies and warms up
    hub.start(asyncio.get_running_loop())       # engine threads on
    stream = hub.open(start, outbox)            # admission; raises a ServiceError or sends `ready` through outbox
    stream.receive(message)                     # what protocol.decode gave; answers come through outbox, in order
    await stream.writable()                     # policy `block`: before reading the next message
    stream.close("disconnected")                # whatever happened; idempotent
    hub.drain(); await hub.drained(); await hub.stop()

Everything here but `load` runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence

from inkling.models.bundle import Bundle
from inkling.models.bundle.schema import BundleSpec
from inkling.models.errors import BundleInvalid
from inkling.service.engine.onnx_engine import Device
from inkling.service.inputs.decode_pool import DecodePool
from inkling.service.inputs.frame_mapper import ImageLimits
from inkling.service.inputs.wants import takes_both, unsupported
from inkling.service.memory_account import MemoryAccount, default_limit
from inkling.service.perception.people_model import PeopleModel
from inkling.service.perception.perceiver import PerceptionOutcome
from inkling.service.perception.perception import Perception
from inkling.service.perception.perception_options import PerceptionOptions
from inkling.service.perception.shared_perception import SharedPerception
from inkling.service.perception.stream_perception import StreamPerception
from inkling.service.protocol.codec import Start
from inkling.service.protocol.errors import Draining, OverCapacity, UnknownStream, UnsupportedInput
from inkling.service.streams.admitted_stream import AdmittedStream
from inkling.service.streams.broadcast import EVERYTHING, Broadcast, Follower, FollowerChoice, FollowerPlaces, Outbox
from inkling.service.streams.bundle_registry import BundleRegistry
from inkling.service.streams.delivery import Delivery
from inkling.service.streams.limits import Limits
from inkling.service.streams.loaded_bundle import EngineOptions, LoadedBundle, prepare
from inkling.service.streams.observer import Observer
from inkling.service.streams.session import Session
from inkling.service.streams.stats import BundleStats, StreamInfo
from inkling.service.streams.tracks import PeopleQuota

log = logging.getLogger(__name__)

_STOP_S = 5.0
"""How long `stop` waits for an engine that is in the middle of a batch."""


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
        memory: MemoryAccount | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """threads, device, graphs, canary: see `EngineOptions`. decode_threads: those that decode images, for all
        bundles; None: as many as there are cores that this process may use. memory: what is promised to streams
        and everybody else; None: as much as fits a container of 1 GiB.
        """
        self.limits = limits or Limits()
        self.device = device
        self.draining = False
        self.memory = memory or MemoryAccount(default_limit(2**30))
        self._options = EngineOptions(threads, device, graphs, canary)
        self._clock = clock
        self._decoders = DecodePool(decode_threads or len(os.sched_getaffinity(0)))
        self._delivery = Delivery(clock, observer)
        self._bundles = BundleRegistry()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._streams: dict[str, AdmittedStream] = {}
        self._broadcasts: dict[str, Broadcast] = {}
        self.perception: Perception | None = None
        """Finds people in images, for bundles that take poses; None: no people bundle is loaded."""
        self._follower_places = FollowerPlaces(self.limits.max_followers)

    def load(self, bundle: Bundle) -> None:
        """Build the engine, verify the stored vector and warm up. Blocks (call before serving, or in a thread).

        Raises BundleError when the graph does not hold its contract, or the name and version are already loaded.
        """
        spec = bundle.spec
        if (spec.name, spec.version) in self._bundles:
            raise BundleInvalid(bundle.path, f"{spec.full_name} is loaded already")
        delivery = self._delivery
        loaded = prepare(
            bundle, self.limits, self._options, self._decoders, delivery.post, delivery.refuse, self._clock
        )
        self._bundles.add(loaded)
        if self._loop is not None:
            loaded.start(self._loop)

    def load_people(self, model: PeopleModel, options: PerceptionOptions | None = None, max_batch: int = 8) -> None:
        """From now on find people in images. Once, before `start`. max_batch: pictures in one run."""
        limits = ImageLimits(self.limits.max_pixels, self.limits.max_decode_s)
        delivery = self._delivery

        def post(outcome: PerceptionOutcome) -> None:
            delivery.post_pictures(perception, outcome)

        self.perception = perception = Perception(
            model, options or PerceptionOptions(), limits, self._decoders, post, delivery.refuse, self._clock, max_batch
        )

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the engine threads; results are delivered on `loop`. Once."""
        if self._loop is not None:
            raise RuntimeError("the hub was started before")
        self._loop = loop
        self._delivery.start(loop)
        self._decoders.start()
        for bundle in self._bundles:
            bundle.start(loop)
        if self.perception is not None:
            self.perception.start()

    def open(
        self,
        start: Start,
        outbox: Outbox,
        stream: str | None = None,
        write: Callable[[str | bytes], None] | None = None,
        quota: PeopleQuota | None = None,
        options: PerceptionOptions | SharedPerception | None = None,
    ) -> AdmittedStream:
        """Admit a stream; sends `Ready` through `outbox` before it returns. stream: its id, of a source that has one.

        write: gets predictions as they go over the wire, in place of `outbox`. quota: of the people of this stream and
        of others, all together. options: how people are found in its images; None: as the settings say.
        `share_perception` gives those of several streams of one camera.

        Raises Draining, OverCapacity, UnknownBundle (version None: the newest loaded), UnsupportedInput,
        UnknownErrorRate.
        """
        if self.draining:
            raise Draining("the server is shutting down: connect to another one, or again in a moment")
        if len(self._streams) >= self.limits.max_streams:
            raise OverCapacity(f"all {self.limits.max_streams} streams are in use: try again later")
        bundle = self._bundles.find(start.bundle, start.version)
        perception = self._stream_perception(bundle, start, options)
        stream = stream or secrets.token_urlsafe(9)
        if stream in self._streams:
            raise ValueError(f"stream {stream} is open already")
        broadcast = Broadcast(bundle.spec.labels, start, outbox, self._follower_places, write, bundle.spec.lead_s)
        session = Session(
            stream, bundle.spec, start, self.limits, bundle.mapper(start, perception), bundle.pool, bundle.queue,
            broadcast, self._clock(), quota, self.memory.share("images") if start.input == "frame" else None,
            perception,
        )  # fmt: skip
        bundle.sessions[stream] = session
        self._broadcasts[stream] = broadcast
        opened = self._streams[stream] = AdmittedStream(session, self._clock)

        def forget() -> None:
            del self._streams[stream]
            self._broadcasts.pop(stream).close()
            bundle.forget(session)

        session.on_close.append(forget)
        return opened

    def share_perception(self, bundles: Sequence[str], options: PerceptionOptions | None) -> SharedPerception:
        """Perception for several streams of one camera, on these bundles; each picture is perceived once.

        Raises UnknownBundle, UnsupportedInput for a bundle that takes pictures as they are, or when nothing finds
        people.
        """
        specs = [self.spec(name) for name in bundles]
        for spec in specs:
            if spec.pose is None:
                raise UnsupportedInput(f"bundle {spec.name} takes pictures as they are: give it a source of its own")
        if self.perception is None:
            raise unsupported(specs[0], "frame", perception=False)
        lost_s = max(spec.gaps.max_gap_s for spec in specs)
        frames = list(dict.fromkeys(spec.frame for spec in specs if spec.frame is not None))
        return SharedPerception(self.perception.open(options, self.limits.max_people, lost_s, frames))

    def _stream_perception(
        self, bundle: LoadedBundle, start: Start, options: PerceptionOptions | SharedPerception | None
    ) -> StreamPerception | None:
        """That of a stream of images on a bundle that takes poses. Raises UnsupportedInput when nothing has any, and
        for poses alone where the bundle takes pictures with them."""
        spec = bundle.spec
        if start.input != "frame" or bundle.images is not None:
            if takes_both(spec):
                raise unsupported(spec, start.input, perception=self.perception is not None)
            return None
        if self.perception is None:
            raise unsupported(spec, start.input, perception=False)
        if isinstance(options, SharedPerception):
            return options.member(spec.frame)
        frames = [] if spec.frame is None else [spec.frame]
        return self.perception.open(options, self.limits.max_people, spec.gaps.max_gap_s, frames)

    def follow(self, stream: str, limit: int, choice: FollowerChoice = EVERYTHING) -> Follower:
        """Listen to an open stream from now on; `limit` messages may wait. Close the follower in the end.

        Raises UnknownStream, OverCapacity.
        """
        if stream not in self._broadcasts:
            raise UnknownStream("no stream of that id is open")
        return self._broadcasts[stream].follow(limit, choice)

    @property
    def followers(self) -> int:
        """How many listen, over all streams."""
        return self._follower_places.used

    def takes_pictures(self, spec: BundleSpec) -> bool:
        """Whether a stream of images may run on a loaded bundle."""
        return spec.pose is None or self.perception is not None

    def spec(self, name: str, version: str | None = None) -> BundleSpec:
        """A loaded bundle, by default its newest version. Raises UnknownBundle."""
        return self._bundles.find(name, version).spec

    def bundles(self) -> list[BundleSpec]:
        """Loaded bundles by name, newest version first."""
        return [bundle.spec for bundle in self._bundles]

    def stats(self) -> list[BundleStats]:
        """Figures of each loaded bundle, in the order of `bundles`."""
        return [bundle.stats() for bundle in self._bundles]

    def streams(self) -> list[StreamInfo]:
        """Open streams, oldest first."""
        now_s = self._clock()
        return [stream.info(now_s) for stream in self._streams.values()]

    def drain(self) -> None:
        """No new streams; each open one gets an `error` message `draining`, its pending results and its summary."""
        self.draining = True
        now_s = self._clock()
        for bundle in self._bundles:
            for session in list(bundle.sessions.values()):
                session.drain(now_s)

    async def drained(self) -> None:
        """Wait until no stream is open. Bound the wait yourself (`asyncio.timeout`)."""
        while self._streams:
            await next(iter(self._streams.values())).finished()

    async def stop(self) -> None:
        """Close what is still open and join the engine threads. Idempotent."""
        self.draining = True
        for stream in list(self._streams.values()):
            stream.close("the server stops")
        if not await asyncio.to_thread(self._decoders.stop, _STOP_S):
            log.error("a decoder did not stop within %g s", _STOP_S)
        if self.perception is not None and not await asyncio.to_thread(self.perception.stop, _STOP_S):
            log.error("perception did not stop within %g s", _STOP_S)
        for bundle in self._bundles:
            if not await asyncio.to_thread(bundle.batcher.stop, _STOP_S):
                log.error("the engine of %s did not stop within %g s", bundle.spec.name, _STOP_S)
