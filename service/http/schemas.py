"""The JSON that the REST endpoints answer, as pydantic models, and how it is made from what the core knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from inkling.models.bundle.schema import BundleSpec, FrameInput, PoseInput
from inkling.service.clips.jobs import VideoJob
from inkling.service.clips.scoring import ClipPrediction, ScoredClip
from inkling.service.protocol.codec import DecisionMessage, Event
from inkling.service.protocol.errors import ServiceError
from inkling.service.protocol.track_id import TrackId
from inkling.service.streams.early_decision import error_rates
from inkling.service.streams.stats import BundleStats


class ErrorAnswer(BaseModel):
    """Why a request was refused. `retryable`: the same request may succeed later."""

    code: str
    message: str
    retryable: bool


class VersionInfo(BaseModel):
    """Which server this is. commit: the git commit it was built from, where that is known. device: cpu or cuda."""

    version: str
    commit: str | None
    device: str
    bundles: tuple[str, ...]


class BundleInfo(BaseModel):
    """A loaded bundle: what it recognises, what it takes, how good it is, how much of its capacity is taken.

    kind: `step`, it knows actions. input: the first of `inputs`, which are all that a step is given. error_rates: those
    that a stream may ask for, to be told of decisions. task: `recognition`, or `anticipation`: labels are of `lead_s`
    seconds after each frame. unknown_above: above this score what is seen counts as none of the labels; null: the
    bundle has no such score.
    """

    kind: str
    name: str
    version: str
    task: str
    lead_s: float | None
    labels: tuple[str, ...]
    background: str | None
    input: dict[str, Any]
    inputs: list[dict[str, Any]]
    rate_hz: float
    error_rates: tuple[float, ...]
    unknown_above: float | None
    quality: dict[str, Any]
    provenance: dict[str, Any]
    streams: int
    tracks: int
    slots_free: int


class FrameCounts(BaseModel):
    """Frames and resets of a stream so far; dropped by cause, resets by reason, errors that were sent by code.

    perceived: frames in which people were looked for; gated: those that the motion gate passed over, because nothing
    moved and nobody was tracked; found: people in the others. tracks_begun, tracks_lost: of those people;
    tracks_renewed: of those begun, likely somebody who had just been lost. All 0 in streams that bring their people.
    """

    model_config = ConfigDict(from_attributes=True)

    received: int
    stepped: int
    skipped: int
    refused: int
    perceived: int
    gated: int
    found: int
    tracks_begun: int
    tracks_lost: int
    tracks_renewed: int
    dropped: dict[str, int]
    resets: dict[str, int]
    errors: dict[str, int]


class StreamRow(BaseModel):
    """An open stream. since_s: for how long. waiting: frames that are not answered yet."""

    model_config = ConfigDict(from_attributes=True)

    stream: str
    bundle: str
    version: str
    policy: str
    since_s: float
    tracks: int
    waiting: int
    counts: FrameCounts


class TimelineEntry(BaseModel):
    """One prediction of a clip; `probabilities` in the order of `labels`. seq: the frame's number in the clip.

    for_s: only of a bundle that says what comes: the time that label and probabilities are of. unknown: as in a
    stream's predictions, of a bundle that has such a score.
    """

    seq: int
    pts_s: float
    for_s: float | None = None
    track: TrackId
    label: str
    probabilities: list[float]
    unknown: float | None = None
    epoch: int
    reset: str | None = None


class ClipAnswer(BaseModel):
    """The timeline of a clip: one entry for each track and step, in the order of time.

    task: only of a bundle that says what comes: its labels are of `lead_s` seconds after each frame. unknown_above:
    while an entry's `unknown` is above it, no event begins and nothing is decided.
    """

    bundle: str
    version: str
    task: str | None = None
    lead_s: float | None = None
    labels: tuple[str, ...]
    rate_hz: float
    unknown_above: float | None = None
    timeline: list[TimelineEntry]
    events: list[Event]
    decisions: list[DecisionMessage]
    warnings: list[str]


class ClipStatus(BaseModel):
    """A video on its way. progress: share of it that was read, in [0, 1], as far as the file says how long it is.

    left_s: while it is scored, seconds in which it is done or given up.
    """

    clip: str
    bundle: str
    version: str | None = None
    state: str
    bytes: int
    frames: int
    pts_s: float
    duration_s: float | None = None
    progress: float | None = None
    left_s: float | None = None
    error: ErrorAnswer | None = None
    result: ClipAnswer | None = None


PIECE = 200
"""Entries of a timeline that are written in one call."""
_NO_TIMELINE = '"timeline":[]'
_entries = TypeAdapter(list[TimelineEntry])


def bundle_info(stats: BundleStats) -> BundleInfo:
    """What `/v1/bundles` says of one bundle."""
    spec = stats.spec
    return BundleInfo(
        kind=spec.kind,
        name=spec.name,
        version=spec.version,
        task=spec.task,
        lead_s=spec.lead_s,
        labels=spec.labels,
        background=spec.background,
        input=_input_info(spec.input),
        inputs=[{"name": given.name, **_input_info(given)} for given in spec.inputs],
        rate_hz=spec.rate_hz,
        error_rates=error_rates(spec),
        unknown_above=_unknown_above(spec),
        quality=spec.quality,
        provenance=spec.provenance.model_dump(),
        streams=stats.streams,
        tracks=stats.tracks,
        slots_free=stats.slots_free,
    )


def _input_info(given: PoseInput | FrameInput) -> dict[str, Any]:
    takes: dict[str, Any] = {"kind": given.kind, "shape": given.shape}
    if isinstance(given, PoseInput):
        takes |= {"skeleton": given.skeleton.name, "joints": given.skeleton.joints}
    return takes


def clip_answer(scored: ScoredClip) -> Iterator[bytes]:
    """The body of `/v1/clips` in pieces: an hour's in one call holds the interpreter for a second, and three times the
    memory of its predictions."""
    begin, end = _answer(scored, ()).model_dump_json(exclude_none=True).split(_NO_TIMELINE, 1)
    yield begin.encode() + b'"timeline":['
    for at in range(0, len(scored.predictions), PIECE):
        entries = [_entry(prediction) for prediction in scored.predictions[at : at + PIECE]]
        yield (b"," if at else b"") + _entries.dump_json(entries, exclude_none=True)[1:-1]
    yield b"]" + end.encode()


def clip_status(job: VideoJob, left_s: float | None, *, result: bool = True) -> ClipStatus:
    """What `/v1/clips/{clip}` says; with the timeline of one that is done unless `result` is False."""
    progress, error = job.progress, job.error
    return ClipStatus(
        clip=job.id,
        bundle=job.start.bundle,
        version=job.start.version,
        state=job.state,
        bytes=job.bytes,
        frames=progress.frames,
        pts_s=progress.pts_s,
        duration_s=progress.duration_s,
        progress=1.0 if job.state == "done" else progress.share,
        left_s=left_s,
        error=None if error is None else error_answer(error),
        result=_answer(job.timeline, job.timeline.predictions) if result and job.timeline is not None else None,
    )


def error_answer(error: ServiceError) -> ErrorAnswer:
    """What a client is told of an error."""
    return ErrorAnswer(code=error.code, message=str(error), retryable=error.retryable)


def _answer(scored: ScoredClip, predictions: Sequence[ClipPrediction]) -> ClipAnswer:
    spec = scored.spec
    return ClipAnswer(
        bundle=spec.name,
        version=spec.version,
        task=spec.task if spec.lead_s is not None else None,
        lead_s=spec.lead_s,
        labels=spec.labels,
        rate_hz=spec.rate_hz,
        unknown_above=_unknown_above(spec),
        timeline=[_entry(prediction) for prediction in predictions],
        events=scored.events,
        decisions=scored.decisions,
        warnings=scored.warnings,
    )


def _unknown_above(spec: BundleSpec) -> float | None:
    return None if spec.unknown is None else spec.unknown.threshold


def _entry(prediction: ClipPrediction) -> TimelineEntry:
    fields = {name: getattr(prediction, name) for name in TimelineEntry.model_fields}
    return TimelineEntry.model_construct(**fields | {"probabilities": prediction.probabilities.tolist()})
