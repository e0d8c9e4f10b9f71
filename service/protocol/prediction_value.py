"""One person's result at one frame, before it is written for anybody. Pure."""

from __future__ import annotations

from heapq import nlargest

from inkling.service.protocol.track_id import TrackId


class PredictionValue:
    """What `messages.Prediction` says, as numbers: made once a result, then written in whichever form is wanted.

    best: index of the largest of `probabilities`, which are in the order of the labels. row: the same as little-endian
    f32, or empty where nobody did that. unknown: None where the bundle has no such score. The other fields are those of
    the message.
    """

    __slots__ = (
        "backlog", "best", "dropped", "epoch", "probabilities", "pts_s", "reset", "row", "seq", "skipped", "track",
        "unknown",
    )  # fmt: skip

    def __init__(
        self,
        seq: int,
        pts_s: float,
        track: TrackId,
        best: int,
        probabilities: list[float],
        row: bytes,
        epoch: int,
        reset: str | None,
        skipped: int,
        dropped: int,
        backlog: int,
        unknown: float | None = None,
    ) -> None:
        self.seq = seq
        self.pts_s = pts_s
        self.track = track
        self.best = best
        self.probabilities = probabilities
        self.row = row
        self.epoch = epoch
        self.reset = reset
        self.skipped = skipped
        self.dropped = dropped
        self.backlog = backlog
        self.unknown = unknown


def top(probabilities: list[float], k: int) -> list[int]:
    """Indices of the k largest, the largest first."""
    return nlargest(k, range(len(probabilities)), key=probabilities.__getitem__)


def foretold_s(pts_s: float, lead_s: float | None) -> float | None:
    """The time that an answer to a frame is of, where a bundle looks `lead_s` ahead; None where it does not."""
    return None if lead_s is None else round(pts_s + lead_s, 6)
