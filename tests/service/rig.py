"""The service's core without threads and sockets: real engine, pool, batcher and sessions, run by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle import Bundle, load
from inkling.service.engine.batcher import Batcher, BatchOutcome
from inkling.service.engine.device_engine import Bucket, DeviceEngine
from inkling.service.engine.onnx_engine import Engine
from inkling.service.inputs.pose_mapper import PoseMapper
from inkling.service.protocol.codec import Outgoing, Prediction, Start
from inkling.service.protocol.pose_binary import PackedPose
from inkling.service.streams.broadcast import Broadcast, FollowerPlaces
from inkling.service.streams.limits import Limits
from inkling.service.streams.session import Session
from tests.support import TinyReference, make_bundle

Floats = NDArray[np.float32]


class FaultyEngine(Engine):
    """The real engine, with faults on request and a look at what happens while it runs."""

    failing = False
    poisoned: int | None = None
    """Row (modulo the batch) whose logits become NaN."""
    during: Callable[[], None] | None = None
    """Called once in the middle of the next step, as if the event loop ran meanwhile."""

    def step(self, x: Any, state: Mapping[str, Any]) -> tuple[NDArray[np.float32], dict[str, Any]]:
        logits, outputs = super().step(x, state)
        if self.during is not None:
            during, self.during = self.during, None
            during()
        if self.failing:
            raise RuntimeError("a fault on request")
        if self.poisoned is not None:
            logits[self.poisoned % len(logits)] = np.nan
        return logits, outputs


class FaultyDevice(DeviceEngine):
    """The same of the device engine, on the CPU. What is poisoned goes in, for what comes out is not on the host."""

    failing = False
    poisoned: int | None = None
    during: Callable[[], None] | None = None

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        super().__init__(bundle, threads, "cpu")

    def _launch(self, bucket: Bucket, batch: int) -> NDArray[np.float32]:
        if self.poisoned is not None:
            bucket.inputs["pose"][self.poisoned % batch] = np.nan
        result = super()._launch(bucket, batch)
        if self.during is not None:
            during, self.during = self.during, None
            during()
        if self.failing:
            raise RuntimeError("a fault on request")
        return result


ENGINES: tuple[type[FaultyEngine | FaultyDevice], ...] = (FaultyEngine, FaultyDevice)


class Rig:
    """One bundle's runtime. `now_s` is the time of everything; batches run when `run` is called."""

    def __init__(
        self,
        bundle: Bundle,
        limits: Limits | None = None,
        engine: type[FaultyEngine | FaultyDevice] = FaultyEngine,
    ) -> None:
        self.bundle = bundle
        self.spec = bundle.spec
        self.limits = limits or Limits(slots=8, max_people=4, inbox=4, max_batch=8)
        self.now_s = 0.0
        self.engine = engine(bundle, threads=1)
        self.pool = self.engine.pool(self.limits.slots, self.limits.max_batch)
        self.outcomes: list[BatchOutcome] = []
        self.batcher = Batcher(
            self.engine, self.pool, self.outcomes.append, self.limits.max_batch, clock=lambda: self.now_s
        )
        self.opened = 0

    def open(self, send: Callable[[Outgoing], None], **start: Any) -> Session:
        message = Start(bundle=self.spec.name, **start)
        self.opened += 1
        return Session(
            f"stream{self.opened}",
            self.spec,
            message,
            self.limits,
            PoseMapper(self.spec, message),
            self.pool,
            self.batcher,
            Broadcast(self.spec.labels, message, send, FollowerPlaces(0)),
            self.now_s,
        )

    def run(self, batches: int | None = None) -> int:
        """Run and deliver `batches`, or all that there are; returns how many ran."""
        ran = 0
        while (batches is None or ran < batches) and self.batcher.run_once():
            ran += 1
            self.deliver()
        return ran

    def deliver(self) -> None:
        while self.outcomes:
            outcome = self.outcomes.pop(0)
            unknown = outcome.unknown if outcome.unknown is not None else [None] * len(outcome.answered)
            answers = zip(outcome.answered, outcome.probabilities, outcome.best, unknown, strict=True)
            for step, probabilities, best, score in answers:
                step.answered(probabilities, best, self.now_s, unknown=score)
            for step in outcome.failed:
                step.failed(self.now_s)


class Stream:
    """A session and what it was told."""

    def __init__(self, rig: Rig, **start: Any) -> None:
        self.messages: list[Outgoing] = []
        self.session = rig.open(self.messages.append, **start)
        self.rig = rig

    def send(self, seq: int, pts_s: float | None, people: Mapping[int, Floats] | None = None) -> None:
        """One frame; by default of one person, track 1, somewhere."""
        if people is None:
            people = {1: body(seq)}
        keypoints = np.stack(list(people.values())) if people else np.zeros((0, 0, 0), np.float32)
        self.session.receive(PackedPose(seq, pts_s, list(people), keypoints), self.rig.now_s)

    def receive(self, message: Any) -> None:
        self.session.receive(message, self.rig.now_s)

    def kinds(self) -> list[str]:
        return [message.type for message in self.messages]

    def of(self, kind: type[Any]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def predictions(self) -> list[Prediction]:
        return self.of(Prediction)


def body(seed: int, joints: int = 13) -> Floats:
    """Some pose (J, 3), all joints seen."""
    rng = np.random.default_rng(seed)
    pose = rng.uniform(50, 400, (joints, 3)).astype(np.float32)
    pose[:, 2] = 1
    return pose


def tiny(root: Path, **spec: Any) -> Bundle:
    return load(make_bundle(root, **spec))


def probabilities_of(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Softmax over the last axis, written out."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


class PlainTrack:
    """One person stepped alone by the numpy reference: what every batched stream must equal.

    heat: the temperature at a step, by how many there were before it since the state was initial.
    """

    def __init__(self, reference: TinyReference, heat: Callable[[int], float] = lambda steps: 1.0) -> None:
        self.reference = reference
        self.heat = heat
        self.steps = 0
        self.state = reference.initial(1)
        self.held: Floats | None = None
        self.epoch = 0

    def fill(self, epoch: int, times: int) -> None:
        """Step the held pose `times`, if it is of this epoch."""
        if self.held is not None and self.epoch == epoch:
            for _ in range(times):
                self._step(self.held)

    def step(self, x: Floats, epoch: int) -> NDArray[np.float64]:
        """Step a pose; returns probabilities (K,)."""
        if epoch != self.epoch:
            self.state, self.epoch, self.steps = self.reference.initial(1), epoch, 0
        self.held = x
        return self._step(x)

    def _step(self, x: Floats) -> NDArray[np.float64]:
        logits, self.state = self.reference.step(x[np.newaxis], self.state)
        self.steps += 1
        return probabilities_of(logits[0] / self.heat(self.steps - 1))
