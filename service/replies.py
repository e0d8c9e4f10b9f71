"""What a stream is told, put into messages. Pure; the session decides when."""

from __future__ import annotations

from collections.abc import Callable
from heapq import nlargest

from models.bundle.schema import BundleSpec
from service.counts import Counts
from service.decision import Change
from service.errors import ServiceError
from service.frames import Frame, Work
from service.promised import Made
from service.protocol import Credit, DecisionMessage, Event, Outgoing, Prediction, Start, Summary, error_message
from service.tracks import Track

Outbox = Callable[[Outgoing], None]
"""Takes a stream's messages in order, on the loop's thread. Must not block, await or raise.

The first message is `Ready`; after `Summary` (or after `close`) none follows."""


class Replies:
    """Messages of one stream, with its counts in them."""

    __slots__ = ("_counts", "_error_rate", "_labels", "_send", "_top_k", "dropped")

    def __init__(self, spec: BundleSpec, start: Start, counts: Counts, send: Outbox) -> None:
        self._labels = spec.labels
        self._top_k = start.top_k if start.top_k is not None and start.top_k < len(spec.labels) else None
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
        classes: list[int] | None = None
        shown = probabilities
        if self._top_k is not None:
            classes = nlargest(self._top_k, range(len(probabilities)), key=probabilities.__getitem__)
            shown = [probabilities[k] for k in classes]
        self._send(
            Prediction.unchecked(
                frame.seq,
                frame.pts_s,
                track.id,
                self._labels[best],
                shown,
                classes,
                work.epoch,
                reset,
                self._counts.skipped,
                self.dropped,
                backlog,
            )
        )
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
