"""What one stream says to its client, put into messages. Pure; the session decides when."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from inkling.models.bundle.schema import BundleSpec
from inkling.models.people.tracker import TrackedPeople
from inkling.models.skeletons import Skeleton
from inkling.models.unknown import UnknownScore
from inkling.service.protocol.codec import (
    Credit,
    DecisionMessage,
    Event,
    Flushed,
    Outgoing,
    PeopleMessage,
    PeopleSkeleton,
    Ready,
    SeenPerson,
    Start,
    Summary,
    error_message,
)
from inkling.service.protocol.errors import ServiceError
from inkling.service.protocol.prediction_value import PredictionValue, foretold_s
from inkling.service.streams.early_decision import EarlyDecision
from inkling.service.streams.event_detector import DetectedEvent
from inkling.service.streams.in_flight import FrameInFlight, PersonStep
from inkling.service.streams.stats import Counts
from inkling.service.streams.tracks import Track


class Outlet(Protocol):
    """Where a stream's answers go, in order, on the loop's thread: `streams.broadcast.Broadcast`.

    The first one is `Ready`; after `Summary` (or after the session's `close`) none follows.
    """

    def send(self, message: Outgoing, /) -> None:
        """Any message but a prediction."""

    def predict(self, value: PredictionValue, /) -> None:
        """A prediction."""

    @property
    def wants_people(self) -> bool:
        """Whether anybody wants to be told of the people of each frame."""


class Responder:
    """Messages of one stream, with its counts in them."""

    __slots__ = (
        "_counts", "_error_rate", "_labels", "_outlet", "_predict", "_score", "_send", "_spec", "_tells_unknown",
        "dropped",
    )  # fmt: skip

    def __init__(self, spec: BundleSpec, start: Start, counts: Counts, outlet: Outlet) -> None:
        self._spec = spec
        self._labels = spec.labels
        self._error_rate = start.error_rate or 0.0
        self._score = None if spec.unknown is None else UnknownScore(spec.unknown, spec.labels, spec.rate_hz)
        self._tells_unknown = start.unknown
        self._counts = counts
        self._outlet = outlet
        self._send = outlet.send
        self._predict = outlet.predict
        self.dropped = 0
        """Frames dropped so far, for whatever cause."""

    def ready(
        self,
        stream: str,
        credits: int,
        image_size: tuple[int, int] | None = None,
        skeleton: Skeleton | None = None,
    ) -> None:
        """image_size: of what is seen of an image, if that is not the bundle's own input. skeleton: of the people who
        are found in images."""
        spec = self._spec
        own = (spec.frame.width, spec.frame.height) if spec.frame is not None and spec.pose is None else image_size
        self._send(
            Ready(
                stream=stream,
                bundle=spec.name,
                version=spec.version,
                labels=spec.labels,
                rate_hz=spec.rate_hz,
                credits=credits,
                image_size=own,
                inputs=tuple(given.name for given in spec.inputs) if spec.further_inputs else None,
                skeleton=None
                if skeleton is None
                else PeopleSkeleton(name=skeleton.name, joints=skeleton.joints, bones=skeleton.bones),
                task="anticipation" if spec.task == "anticipation" else None,
                lead_s=spec.lead_s,
                unknown_above=spec.unknown.threshold if spec.unknown is not None and self._tells_unknown else None,
            )
        )

    def drop(self, cause: str) -> None:
        """Count a dropped frame."""
        self._counts.dropped[cause] += 1
        self.dropped += 1

    def error(self, error: ServiceError, seq: int | None = None) -> None:
        errors = self._counts.errors
        errors[error.code] = errors.get(error.code, 0) + 1
        self._send(error_message(error, seq))

    def warn(self, warning: ServiceError | None) -> None:
        """Something about the stream as a whole, if there is anything; no frame was refused."""
        if warning is not None:
            self.error(warning)

    def credit(self, seq: int) -> None:
        self._send(Credit(seq=seq, skipped=self._counts.skipped, dropped=self.dropped))

    def flushed(self, id: int) -> None:
        self._send(Flushed(id=id))

    def prediction(self, frame: FrameInFlight, step: PersonStep, probabilities: list[float], backlog: int) -> None:
        """One person's result, and the events and the early decision that follow from it."""
        track, best = step.track, step.best
        reset: str | None = None
        events: tuple[DetectedEvent, ...] = ()
        if step.epoch != track.answered_epoch:
            track.answered_epoch = step.epoch
            reset = step.reason
            events = track.detector.end()
            if track.early_decisions is not None:
                track.early_decisions.restart()
        unknown, score = step.unknown, self._score
        held_back = score is not None and unknown is not None and score.holds_back(unknown, best)
        events += track.detector.push(probabilities, best, held_back=held_back)
        self._predict(
            PredictionValue(
                frame.seq, frame.pts_s, track.id, best, probabilities, step.row,
                step.epoch, reset, self._counts.skipped, self.dropped, backlog, unknown,
            )
        )  # fmt: skip
        for event in events:
            self.event(frame.seq, frame.pts_s, track, event)
        if track.early_decisions is not None:
            decision = track.early_decisions.push(frame.pts_s, best, probabilities[best], events, held_back=held_back)
            if decision is not None:
                self._decision(frame, step, probabilities[best], decision)

    @property
    def wants_people(self) -> bool:
        """Whether anybody wants to be told of the people of each frame."""
        return self._outlet.wants_people

    def people(self, seq: int, pts_s: float, seen: TrackedPeople) -> None:
        """Who was seen in a frame."""
        self._send(people_message(seq, pts_s, seen))

    def event(self, seq: int, pts_s: float, track: Track, event: DetectedEvent) -> None:
        begins = event.phase == "begin"
        self._send(
            Event(
                seq=seq,
                pts_s=pts_s,
                track=track.id,
                label=self._labels[event.label],
                phase=event.phase,
                probability=event.probability,
                begins_in_s=self._spec.lead_s if begins else None,
                ends_in_s=None if begins else self._spec.lead_s,
            )
        )

    def _decision(self, frame: FrameInFlight, step: PersonStep, probability: float, decision: EarlyDecision) -> None:
        self._send(
            DecisionMessage(
                seq=frame.seq,
                pts_s=frame.pts_s,
                for_s=foretold_s(frame.pts_s, self._spec.lead_s),
                track=step.track.id,
                label=self._labels[step.best],
                probability=probability,
                elapsed_s=decision.elapsed_s,
                error_rate=self._error_rate,
                epoch=step.epoch,
                first=decision.first,
            )
        )

    def summary(self, duration_s: float) -> None:
        counts = self._counts
        self._send(
            Summary(
                received=counts.received,
                stepped=counts.stepped,
                skipped=counts.skipped,
                dropped=self.dropped,
                refused=counts.refused,
                tracks=counts.tracks,
                resets={reason: count for reason, count in counts.resets.items() if count},
                duration_s=duration_s,
            )
        )


_PIXEL_DECIMALS, _SHARE_DECIMALS = 1, 3


def people_message(seq: int, pts_s: float, seen: TrackedPeople) -> PeopleMessage:
    """Who was seen, as a client is told it: places to a tenth of a pixel."""
    boxes = seen.boxes.astype(np.float64).round(_PIXEL_DECIMALS).tolist()
    scores = seen.scores.astype(np.float64).round(_SHARE_DECIMALS).tolist()
    joints = seen.keypoints.astype(np.float64)
    joints[..., :2] = joints[..., :2].round(_PIXEL_DECIMALS)
    joints[..., 2] = joints[..., 2].round(_SHARE_DECIMALS)
    rows = zip(seen.tracks.tolist(), boxes, scores, joints.tolist(), strict=True)
    people = [
        SeenPerson.model_construct(track=track, box=tuple(box), score=score, keypoints=[tuple(joint) for joint in pose])
        for track, box, score, pose in rows
    ]
    return PeopleMessage.model_construct(seq=seq, pts_s=pts_s, people=people)
