"""What a stream is told, put into messages. Pure; the session decides when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from inkling.models.bundle.schema import BundleSpec
from inkling.service.protocol.codec import (
    Credit,
    DecisionMessage,
    Event,
    Outgoing,
    Prediction,
    Start,
    Summary,
    error_message,
)
from inkling.service.protocol.errors import ServiceError
from inkling.service.protocol.prediction_format import Format, JsonResults, Messages, PackedResults
from inkling.service.streams.early_decision import Made
from inkling.service.streams.event_detector import Change
from inkling.service.streams.in_flight import Frame, Work
from inkling.service.streams.stats import Counts
from inkling.service.streams.tracks import Track

Outbox = Callable[[Outgoing], None]
"""Takes a stream's messages in order, on the loop's thread. Must not block, await or raise.

The first message is `Ready`; after `Summary` (or after `close`) none follows."""


class Wire(Protocol):
    """A short way for predictions, written as the client reads them; everything else goes to the outbox."""

    write: Callable[[str | bytes], None]
    followed: bool
    """Whether others listen to the stream."""

    def tell(self, prediction: Prediction, /) -> None:
        """The others get this."""


class Replies:
    """Messages of one stream, with its counts in them."""

    __slots__ = ("_counts", "_error_rate", "_format", "_labels", "_message", "_send", "_wire", "dropped")

    def __init__(self, spec: BundleSpec, start: Start, counts: Counts, send: Outbox, wire: Wire | None = None) -> None:
        self._labels = spec.labels
        self._message = Messages(spec.labels, start.top_k)
        self._wire = wire
        kind = PackedResults if start.results == "packed" else JsonResults
        self._format: Format | None = None if wire is None else kind(spec.labels, start.top_k)
        self._error_rate = start.error_rate or 0.0
        self._counts = counts
        self._send = send
        self.dropped = 0
        """Frames dropped so far, for whatever cause."""

    def drop(self, cause: str) -> None:
        """Count a dropped frame."""
        self._counts.dropped[cause] += 1
        self.dropped += 1

    def error(self, error: ServiceError, seq: int | None = None) -> None:
        errors = self._counts.errors
        errors[error.code] = errors.get(error.code, 0) + 1
        self._send(error_message(error, seq))

    def credit(self, seq: int) -> None:
        self._send(Credit(seq=seq, skipped=self._counts.skipped, dropped=self.dropped))

    def prediction(self, frame: Frame, work: Work, probabilities: list[float], backlog: int) -> None:
        """One person's result, and the events and the commitment that follow from it."""
        track, best = work.track, work.best
        reset: str | None = None
        changes: tuple[Change, ...] = ()
        if work.epoch != track.answered_epoch:
            track.answered_epoch = work.epoch
            reset = work.reason
            changes = track.decision.end()
            if track.promised is not None:
                track.promised.restart()
        changes += track.decision.push(probabilities, best)
        skipped, dropped = self._counts.skipped, self.dropped
        wire, write = self._wire, self._format
        if wire is not None and write is not None:
            wire.write(
                write(
                    frame.seq, frame.pts_s, track.id, best, probabilities, work.row,
                    work.epoch, reset, skipped, dropped, backlog,
                )
            )  # fmt: skip
        if wire is None or wire.followed:
            message = self._message(
                frame.seq, frame.pts_s, track.id, best, probabilities, work.row,
                work.epoch, reset, skipped, dropped, backlog,
            )  # fmt: skip
            if wire is None:
                self._send(message)
            else:
                wire.tell(message)
        for change in changes:
            self.event(frame.seq, frame.pts_s, track, change)
        if track.promised is not None:
            made = track.promised.push(frame.pts_s, best, probabilities[best], changes)
            if made is not None:
                self._decision(frame, work, probabilities[best], made)

    def event(self, seq: int, pts_s: float, track: Track, change: Change) -> None:
        label = self._labels[change.label]
        self._send(
            Event(seq=seq, pts_s=pts_s, track=track.id, label=label, phase=change.phase, probability=change.probability)
        )

    def _decision(self, frame: Frame, work: Work, probability: float, made: Made) -> None:
        self._send(
            DecisionMessage(
                seq=frame.seq,
                pts_s=frame.pts_s,
                track=work.track.id,
                label=self._labels[work.best],
                probability=probability,
                elapsed_s=made.elapsed_s,
                error_rate=self._error_rate,
                epoch=work.epoch,
                first=made.first,
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
