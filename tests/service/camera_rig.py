"""The core with perception in front of it, without threads and sockets: everything is run by hand, as in `rig`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inkling.models.bundle import Bundle
from inkling.service.engine.scheduler import Step
from inkling.service.inputs.decode_pool import DecodePool
from inkling.service.inputs.frame_mapper import ImageLimits
from inkling.service.inputs.pose_mapper import PoseMapper
from inkling.service.perception.perceiver import PerceptionOutcome
from inkling.service.perception.perception import Perception
from inkling.service.perception.perception_options import PerceptionOptions
from inkling.service.perception.picture_step import PictureStep
from inkling.service.perception.stream_perception import StreamPerception
from inkling.service.protocol.codec import Outgoing, PeopleMessage, Prediction, Start
from inkling.service.protocol.errors import ServiceError
from inkling.service.protocol.image_binary import ImageFrame, Pixels
from inkling.service.streams.broadcast import Broadcast, FollowerPlaces
from inkling.service.streams.limits import Limits
from inkling.service.streams.session import Session
from tests.coloured_people import FaultyGraph, coloured_people
from tests.service.rig import Rig


class CameraRig(Rig):
    """A rig whose streams are cameras in which people are rectangles."""

    def __init__(self, bundle: Bundle, limits: Limits | None = None, max_batch: int = 8, **options: Any) -> None:
        super().__init__(bundle, limits)
        self.graph = FaultyGraph()
        self.next_perception: Callable[[], StreamPerception] = self._own_perception
        """Those of the next stream."""
        self.decoders = DecodePool(1)
        self.perceived: list[PerceptionOutcome] = []
        self.refused: list[tuple[PictureStep, ServiceError]] = []
        self.perception = Perception(
            coloured_people(self.graph),
            PerceptionOptions(**({"motion_gate": False} | options)),
            ImageLimits(20_000, 0.25),
            self.decoders,
            self.perceived.append,
            self._refuse,
            lambda: self.now_s,
            max_batch,
        )

    def _own_perception(self) -> StreamPerception:
        frames = [self.spec.frame] if self.spec.frame is not None else []
        return self.perception.open(None, self.limits.max_people, self.spec.gaps.max_gap_s, frames)

    def open(self, send: Callable[[Outgoing], None], **start: Any) -> Session:
        message = Start(bundle=self.spec.name, input="frame", **start)
        self.opened += 1
        perception = self.next_perception()
        return Session(
            f"camera{self.opened}",
            self.spec,
            message,
            self.limits,
            PoseMapper(self.spec, Start(bundle=self.spec.name, skeleton=perception.skeleton.name)),
            self.pool,
            self.batcher,
            Broadcast(self.spec.labels, message, send, FollowerPlaces(0)),
            self.now_s,
            perception=perception,
        )

    def perceive(self, batches: int | None = None) -> int:
        """Decode what may be decoded, look at `batches` (None: all that there are) and deliver; returns how many."""
        perceived = 0
        while batches is None or perceived < batches:
            while self.decoders.run_once():
                pass
            for picture, error in self.refused:
                picture.refused(error, self.now_s)
            self.refused.clear()
            if not self.perception.run_once():
                break
            perceived += 1
            self.deliver_pictures()
        return perceived

    def deliver_pictures(self) -> None:
        while self.perceived:
            outcome = self.perceived.pop(0)
            for picture in outcome.seen:
                picture.seen(self.now_s)
            for picture in outcome.failed:
                picture.failed(self.now_s)

    def work(self) -> None:
        """Look, step and deliver until there is nothing to do."""
        while self.perceive() or self.run():
            pass

    def _refuse(self, step: Step, error: ServiceError) -> None:
        assert isinstance(step, PictureStep)
        self.refused.append((step, error))


class Watched:
    """A camera's session and what it was told."""

    def __init__(self, rig: CameraRig, **start: Any) -> None:
        self.messages: list[Outgoing] = []
        self.session = rig.open(self.messages.append, **start)
        self.rig = rig

    def show(self, seq: int, pts_s: float, picture: Pixels | Callable[[], Pixels]) -> None:
        self.session.receive(ImageFrame(seq, pts_s, picture), self.rig.now_s)

    def receive(self, message: Any) -> None:
        self.session.receive(message, self.rig.now_s)

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def predictions(self) -> list[Prediction]:
        return self.of(Prediction)

    @property
    def people(self) -> list[PeopleMessage]:
        return self.of(PeopleMessage)

    @property
    def settled(self) -> bool:
        """Whether every frame is accounted for."""
        counts = self.session.counts
        total = counts.stepped + counts.skipped + counts.refused + sum(counts.dropped.values())
        return counts.received == total and self.session.waiting == 0
