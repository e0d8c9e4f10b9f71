"""Score a clip the way a stream would be: through the hub, by the same session, so that the numbers are the same."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from models.bundle.schema import BundleSpec
from service.clips import PoseClip
from service.errors import BadClip, BadPose, Draining, ServiceError
from service.hub import Hub
from service.protocol import End, ErrorMessage, Event, Outgoing, Prediction, Start

MAX_WARNINGS = 20
FAIR = 64
"""Frames that are handed on in one go before other streams have their turn."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What became of a clip, in the order of time. warnings: what was refused or lost, one sentence each."""

    spec: BundleSpec
    predictions: list[Prediction]
    events: list[Event]
    warnings: list[str]


async def score(hub: Hub, start: Start, clip: PoseClip) -> Timeline:
    """Run a clip through a stream of its own; `start` says on which bundle, and its policy must be `block`.

    Raises what `Hub.open` raises, BadClip when a frame does not fit the skeleton, and Draining when the server stops
    meanwhile. Other refusals and losses become warnings.
    """
    predictions: list[Prediction] = []
    events: list[Event] = []
    errors: list[ErrorMessage] = []

    def take(message: Outgoing) -> None:
        match message:
            case Prediction():
                predictions.append(message)
            case Event():
                events.append(message)
            case ErrorMessage():
                errors.append(message)

    handle = hub.open(start, take)
    try:
        for number, message in enumerate(clip.messages()):
            await handle.writable()
            handle.receive(message)
            if errors and _fatal(errors[-1]):
                break
            if number % FAIR == FAIR - 1:
                await asyncio.sleep(0)
        else:
            handle.receive(End())
            await handle.finished()
    finally:
        handle.close("abandoned")  # nothing to do for a clip that ended
    for error in errors:
        if fatal := _fatal(error):
            raise fatal
    warnings = [_sentence(error) for error in errors[:MAX_WARNINGS]]
    if len(errors) > MAX_WARNINGS:
        warnings.append(f"and {len(errors) - MAX_WARNINGS} more like these")
    return Timeline(handle.spec, predictions, events, warnings)


def _fatal(error: ErrorMessage) -> ServiceError | None:
    """The error that makes the whole clip fail: all of its frames have equally many joints, so none would do."""
    if error.code == Draining.code:
        return Draining(error.message)
    return BadClip(_sentence(error)) if error.code == BadPose.code else None


def _sentence(error: ErrorMessage) -> str:
    return error.message if error.seq is None else f"frame {error.seq}: {error.message}"
