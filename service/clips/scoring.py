"""Score a clip the way a stream would be: through the hub, by the same session, so that the numbers are the same."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from inkling.models.bundle.schema import BundleSpec
from inkling.service.clips.pose_arrays import PoseClip, TrackedClip
from inkling.service.memory_account import Share
from inkling.service.protocol.codec import (
    DecisionMessage,
    End,
    ErrorMessage,
    Event,
    Outgoing,
    Prediction,
    Start,
    Summary,
)
from inkling.service.protocol.errors import BadClip, BadPose, Draining, Internal, OverCapacity, ServiceError, TooLarge
from inkling.service.protocol.track_id import TrackId
from inkling.service.streams.hub import Hub
from inkling.service.streams.intake import FrameMessage
from inkling.service.streams.tracks import PeopleQuota

M = TypeVar("M", bound=FrameMessage)

MAX_WARNINGS = 20
PREDICTION, LABEL = 400, 8
"""Bytes of a prediction that is kept, and of each probability in it."""
TAKEN = 256
"""Predictions for which memory is taken in one go."""
FRAMES_IN_A_ROW = 64
"""Frames that are handed on in one go before other streams have their turn."""


@dataclass(frozen=True, slots=True)
class ClipPrediction:
    """One prediction of a clip, in a sixth of the memory that the message takes; the fields are the message's."""

    seq: int
    pts_s: float
    for_s: float | None
    track: TrackId
    label: str
    probabilities: array[float]
    unknown: float | None
    epoch: int
    reset: str | None

    @classmethod
    def of(cls, said: Prediction) -> ClipPrediction:
        exact = array("d", said.probabilities)
        exact_unknown = said.unknown
        return cls(
            said.seq, said.pts_s, said.for_s, said.track, said.label, exact, exact_unknown, said.epoch, said.reset
        )


@dataclass(frozen=True, slots=True)
class ScoredClip:
    """What became of a clip, in the order of time. warnings: what was refused or lost, one sentence each."""

    spec: BundleSpec
    predictions: list[ClipPrediction]
    events: list[Event]
    decisions: list[DecisionMessage]
    warnings: list[str]


async def score(
    hub: Hub, start: Start, clip: PoseClip | TrackedClip, held: Share, quota: PeopleQuota | None = None
) -> ScoredClip:
    """Run a clip through a stream of its own; `start` says on which bundle, and its policy must be `block`.

    held: what the clip takes, its timeline in the end. quota: of the people of this clip and of other streams.

    Raises what `Hub.open` raises, BadClip when a frame does not fit the skeleton, TooLarge and OverCapacity when there
    is no memory for its timeline, Draining when the server stops meanwhile, and Internal when a defect ends the stream.
    Other refusals and losses become warnings.
    """
    return await score_frames(hub, start, _each(clip.messages()), held, clip.warnings, quota)


async def score_frames(
    hub: Hub,
    start: Start,
    frames: AsyncGenerator[M, None],
    held: Share,
    warnings: Sequence[str] = (),
    quota: PeopleQuota | None = None,
) -> ScoredClip:
    """Run any frames through a stream of its own, as `score` does. warnings: of the frames' source, read at the end.

    `frames`, an async generator, is closed when the stream ends before it.
    """
    answers = _Answers(held, PREDICTION + LABEL * len(hub.spec(start.bundle, start.version).labels))
    handle = hub.open(start, answers.take, quota=quota)
    try:
        async with aclosing(frames):
            async for message in frames:
                await handle.writable()
                handle.receive(message)
                if handle.closed or answers.fatal is not None:
                    break
            else:
                handle.receive(End())
                await handle.finished()
    finally:
        handle.close("abandoned")  # nothing to do for a clip that ended
    if answers.fatal is not None:
        raise answers.fatal
    if not answers.ended:
        raise Draining("the server was stopped before the clip was scored")
    sentences = [*warnings, *answers.warnings()]
    return ScoredClip(handle.spec, answers.predictions, answers.events, answers.decisions, sentences)


class _Answers:
    """What a clip's stream answers, sorted by kind. fatal: the first error that makes the whole clip fail."""

    def __init__(self, held: Share, prediction_bytes: int) -> None:
        """prediction_bytes: what each one takes of `held`."""
        self._held = held
        self._prediction_bytes = prediction_bytes
        self.predictions: list[ClipPrediction] = []
        self.events: list[Event] = []
        self.decisions: list[DecisionMessage] = []
        self.fatal: ServiceError | None = None
        self.ended = False
        self._errors: list[ErrorMessage] = []

    def take(self, message: Outgoing) -> None:
        match message:
            case Prediction():
                if len(self.predictions) % TAKEN == 0:
                    self._take_memory()
                self.predictions.append(ClipPrediction.of(message))
            case Event():
                self.events.append(message)
            case DecisionMessage():
                self.decisions.append(message)
            case ErrorMessage():
                self._errors.append(message)
                self.fatal = self.fatal or _fatal(message)
            case Summary():
                self.ended = True

    def _take_memory(self) -> None:
        """For the next predictions."""
        count = TAKEN * self._prediction_bytes
        try:
            self._held.take(count)
        except OverCapacity as error:
            if self._held.bytes + count > self._held.most:
                said = f"its {len(self.predictions)} predictions so far take all the memory that clips may"
                self.fatal = self.fatal or TooLarge(f"{said} (setting max_promised_bytes): send it in parts")
            else:
                self.fatal = self.fatal or error

    def warnings(self) -> list[str]:
        """A sentence for each error that the clip survived, the first `MAX_WARNINGS` of them."""
        sentences = [_sentence(error) for error in self._errors[:MAX_WARNINGS]]
        if len(self._errors) > MAX_WARNINGS:
            sentences.append(f"and {len(self._errors) - MAX_WARNINGS} more like these")
        return sentences


async def _each(messages: Iterable[M]) -> AsyncGenerator[M, None]:
    for number, message in enumerate(messages):
        yield message
        if number % FRAMES_IN_A_ROW == FRAMES_IN_A_ROW - 1:
            await asyncio.sleep(0)


def _fatal(error: ErrorMessage) -> ServiceError | None:
    """The error that makes the whole clip fail. All of its frames have equally many joints: of these, none would do."""
    if error.code == Draining.code:
        return Draining(error.message)
    if error.code == Internal.code and error.seq is None:  # the stream's, not a frame's
        return Internal(error.message)
    return BadClip(_sentence(error)) if error.code == BadPose.code else None


def _sentence(error: ErrorMessage) -> str:
    return error.message if error.seq is None else f"frame {error.seq}: {error.message}"
