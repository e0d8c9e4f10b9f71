"""What a stream and a bundle count. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from inkling.models.bundle.schema import BundleSpec
from inkling.service.protocol.messages import RESETS

DROPS = ("overflow", "memory", "failed", "no_slot", "closed")
"""Why a frame was dropped."""


@dataclass(slots=True)
class Counts:
    """Frames and resets since the start, of a stream or a bundle; they only rise.

    received = stepped + skipped + refused + sum(dropped) + those that wait. stepped: with a prediction. skipped: nobody
    in it was due for a step. refused: an error was sent instead. dropped: by cause, `overflow` (of the inbox), `memory`
    (that all images together may take), `failed` (the engine, or perception), `no_slot`, `closed` (the stream was,
    before the answer). resets: by reason. errors: sent, by code.

    Of frames whose people were to be found, perceived: those in which they were looked for. gated: those that the
    motion gate passed over, because nothing moved and nobody was tracked; they are `skipped` too. found: people in the
    others. tracks_begun, tracks_lost, tracks_renewed: of those people, see `inkling.models.people.track_changes`.
    """

    received: int = 0
    stepped: int = 0
    skipped: int = 0
    refused: int = 0
    dropped: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DROPS, 0))
    resets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RESETS, 0))
    errors: dict[str, int] = field(default_factory=dict)
    perceived: int = 0
    gated: int = 0
    found: int = 0
    tracks_begun: int = 0
    tracks_lost: int = 0
    tracks_renewed: int = 0
    tracks: int = 0
    """Tracks ever seen."""

    @property
    def taken(self) -> int:
        """Frames that were received and not refused, the one that is being looked at included."""
        return self.received - self.refused

    def add(self, other: Counts) -> None:
        self.received += other.received
        self.stepped += other.stepped
        self.skipped += other.skipped
        self.refused += other.refused
        self.perceived += other.perceived
        self.gated += other.gated
        self.found += other.found
        self.tracks_begun += other.tracks_begun
        self.tracks_lost += other.tracks_lost
        self.tracks_renewed += other.tracks_renewed
        self.tracks += other.tracks
        for mine, others in ((self.dropped, other.dropped), (self.resets, other.resets), (self.errors, other.errors)):
            for key, count in others.items():
                mine[key] = mine.get(key, 0) + count


@dataclass(frozen=True, slots=True)
class BundleStats:
    """A loaded bundle's figures now, for /metrics and /v1/bundles. counts: of open and closed streams together.

    canary: steps that were also taken alone, and the largest difference of a logit; None: the canary is off.
    """

    spec: BundleSpec
    streams: int
    tracks: int
    slots_used: int
    slots_free: int
    counts: Counts
    canary: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One open stream, for /v1/streams. since_s: seconds that it has been open. waiting: frames."""

    stream: str
    bundle: str
    version: str
    policy: str
    since_s: float
    tracks: int
    waiting: int
    counts: Counts
