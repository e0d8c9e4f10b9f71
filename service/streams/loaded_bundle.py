"""A bundle that is loaded, with what runs it and the streams that are open on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from inkling.models.bundle import Bundle
from inkling.models.bundle.schema import BundleSpec
from inkling.service.engine.batcher import Batcher, BatchOutcome
from inkling.service.engine.canary import Canary
from inkling.service.engine.device_engine import buckets, engine_for
from inkling.service.engine.onnx_engine import Device
from inkling.service.engine.scheduler import Step, StepQueue
from inkling.service.engine.state_pool import StatePool
from inkling.service.inputs.decode_pool import DecodePool, Decoder
from inkling.service.inputs.frame_mapper import FrameMapper, ImageLimits
from inkling.service.inputs.pose_doubts import StreamPoses
from inkling.service.inputs.pose_mapper import PoseMapper
from inkling.service.perception.stream_perception import StreamPerception
from inkling.service.protocol.codec import Start
from inkling.service.protocol.errors import ServiceError
from inkling.service.streams.limits import Limits
from inkling.service.streams.session import Session
from inkling.service.streams.stats import BundleStats, Counts


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How bundles are run.

    threads: onnxruntime's, per bundle; None: as many as there are cores that this process may use. graphs: CUDA graphs
    may be used. canary: one track in so many is also stepped alone; 0: none.
    """

    threads: int | None = None
    device: Device = "cpu"
    graphs: bool = True
    canary: int = 0


@dataclass(slots=True)
class LoadedBundle:
    """What runs one bundle, its open streams, and what those that are closed have counted."""

    spec: BundleSpec
    pool: StatePool
    batcher: Batcher
    canary: Canary | None = None
    images: FrameMapper | None = None
    decoder: Decoder | None = None
    """Both only of a bundle that takes images alone."""
    sessions: dict[str, Session] = field(default_factory=dict)
    closed: Counts = field(default_factory=Counts)
    mappers: dict[str | None, PoseMapper] = field(default_factory=dict)

    @property
    def queue(self) -> StepQueue:
        """Where sessions send their steps."""
        return self.decoder or self.batcher

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start the engine. Streams submit on the loop's thread, decoders on theirs."""
        self.batcher.start(loop.call_soon if self.decoder is None else None)

    def mapper(
        self, start: Start, perception: StreamPerception | None = None
    ) -> StreamPoses | FrameMapper | PoseMapper:
        """That of one stream. Streams of a skeleton share a `PoseMapper`: the batcher prepares its rows in one call.

        perception: of one whose people are to be found in its images.
        """
        if perception is not None:
            skeleton = perception.skeleton.name
            if skeleton not in self.mappers:
                self.mappers[skeleton] = PoseMapper(self.spec, Start(bundle=start.bundle, skeleton=skeleton))
            return self.mappers[skeleton]
        if self.images is not None and start.input == "frame":
            return self.images
        mapper = self.mappers.get(start.skeleton)
        if mapper is None or start.input != "pose":
            mapper = self.mappers[start.skeleton] = PoseMapper(self.spec, start)
        return StreamPoses(mapper, start)

    def forget(self, session: Session) -> None:
        """The session is closed."""
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


def prepare(
    bundle: Bundle,
    limits: Limits,
    options: EngineOptions,
    decoders: DecodePool,
    post: Callable[[LoadedBundle, BatchOutcome], None],
    refuse: Callable[[Step, ServiceError], None],
    clock: Callable[[], float],
) -> LoadedBundle:
    """Build the engine, verify the stored vector and warm up. Blocks. Raises BundleError.

    post: called with each batch, on the engine's thread. refuse: with each step whose image cannot be decoded, on a
    decoder's thread.
    """
    spec = bundle.spec
    engine = engine_for(bundle, options.threads, options.device, graphs=options.graphs)
    engine.warm(buckets(limits.max_batch))
    pool = engine.pool(limits.slots, limits.max_batch)
    canary = Canary(engine, options.canary, limits.slots) if options.canary else None
    batcher = Batcher(canary or engine, pool, lambda outcome: post(loaded, outcome), limits.max_batch, clock)
    loaded = LoadedBundle(spec, pool, batcher, canary)
    if spec.pose is None:
        image_limits = ImageLimits(limits.max_pixels, limits.max_decode_s)
        loaded.images = FrameMapper(spec, Start(bundle=spec.name, input="frame"), image_limits)
        loaded.decoder = Decoder(decoders, batcher, loaded.images.decode, refuse, loaded.images.cost)
    return loaded
