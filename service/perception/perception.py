"""A people bundle at work: its thread, the decoding before it, and what it gives to each stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from inkling.models.bundle.schema import FrameInput
from inkling.models.people.motion import MotionConfig, MotionGate
from inkling.models.people.tracker import PersonTracker
from inkling.service.engine.scheduler import Lane, Step
from inkling.service.inputs.decode_pool import DecodePool
from inkling.service.inputs.frame_mapper import ImageLimits
from inkling.service.perception.camera import Camera
from inkling.service.perception.people_model import PeopleModel
from inkling.service.perception.perceiver import Perceiver, PerceptionOutcome
from inkling.service.perception.perception_options import PerceptionOptions
from inkling.service.perception.picture_mapper import PictureDecoder, PictureMapper
from inkling.service.perception.stream_perception import StreamPerception
from inkling.service.protocol.errors import ServiceError


class Perception:
    """One for a server. Everything but `post` and `refuse` happens on the event loop."""

    def __init__(
        self,
        model: PeopleModel,
        options: PerceptionOptions,
        limits: ImageLimits,
        decoders: DecodePool,
        post: Callable[[PerceptionOutcome], None],
        refuse: Callable[[Step, ServiceError], None],
        clock: Callable[[], float],
        max_batch: int,
    ) -> None:
        """options: unless a stream has its own. max_batch: pictures in one run.

        post: called with each batch, on perception's thread. refuse: with each picture that cannot be decoded, on a
        decoder's thread.
        """
        self.model = model
        self.options = options
        self._limits = limits
        self._pool = decoders
        self._post = post
        self._refuse = refuse
        self._perceiver = Perceiver(model.name, model.estimator, self._done, max_batch, clock)
        self._decoders: dict[tuple[int | None, bool, tuple[FrameInput, ...]], tuple[PictureMapper, PictureDecoder]] = {}

    def open(
        self, options: PerceptionOptions | None, most: int, lost_s: float, frames: Sequence[FrameInput] = ()
    ) -> StreamPerception:
        """Perception for one more stream. options: None: those of the server. most: people at once.

        lost_s: seconds for which somebody may be lost and still be who they were. frames: what its bundle takes of a
        picture besides its people; of several bundles, what each takes.
        """
        options, model = options or self.options, self.model
        way = options.longer_side, options.motion_gate, tuple(frames)
        if way not in self._decoders:
            mapper = PictureMapper(
                partial(model.estimator.prepare, longer_side=options.longer_side),
                model.size(options),
                self._limits,
                gated=options.motion_gate,
                frames=frames,
            )
            decoder = PictureDecoder(self._pool, self._perceiver, mapper.decode, self._refuse, mapper.cost)
            self._decoders[way] = mapper, decoder
        mapper, decoder = self._decoders[way]
        gate = MotionGate(MotionConfig()) if options.motion_gate else None
        camera = Camera(PersonTracker(model.tracker(options, lost_s)), gate, min(model.most(options), most))
        lane = Lane(0, 0, lambda rows: rows)
        return StreamPerception(mapper, decoder, lane, camera, model.spec.skeleton, lost_s, next(iter(frames), None))

    def start(self) -> None:
        """Begin to perceive what is submitted. Once."""
        self._perceiver.start()

    def stop(self, timeout_s: float) -> bool:
        """Perceive what is queued, then end the thread. False: it still runs after `timeout_s`."""
        return self._perceiver.stop(timeout_s)

    def run_once(self) -> bool:
        """Perceive one batch of what is decoded, if anything is. For tests without threads."""
        return self._perceiver.run_once()

    def take_decode_seconds(self) -> list[float]:
        """How long decoding took, of each picture since the call before."""
        return [seconds for _, decoder in self._decoders.values() for seconds in decoder.take_seconds()]

    def _done(self, outcome: PerceptionOutcome) -> None:
        self._pool.answered(outcome.seen)
        self._pool.answered(outcome.failed)
        self._post(outcome)
