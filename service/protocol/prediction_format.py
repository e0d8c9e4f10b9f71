"""Predictions as they leave for a client: as JSON text, or packed when its `start` asks for that. Pure.

Packed results are binary messages, little-endian, less than half of their JSON; all other messages stay JSON.

    offset  size  field
         0     4  magic, the bytes "INKL"
         4     1  version of this layout, 1
         5     1  kind, 3: a prediction
         6     2  how many probabilities follow, u16
         8     8  seq, u64
        16     8  pts_s, f64
        24     4  track, u32; 2**32 - 1: not tracked
        28     4  epoch, u32
        32     8  skipped, u64
        40     8  dropped, u64
        48     4  backlog, u32
        52     2  label, u16: the index of the most probable one in `ready.labels`
        54     1  reset, u8: 0 none, 1 gap, 2 backward, 3 requested, 4 evicted
        55     1  flags, u8: 1: with `top_k`, the best first, and the indices of their labels follow;
                  2: `unknown` follows;
                  8: of a bundle that says what comes: all is of `pts_s + ready.lead_s`, not of `pts_s`
        56        probabilities, each f32; in the order of `ready.labels` unless flags say otherwise
                  then, with flag 1, as many indices of labels, each u16
                  then, with flag 2, unknown, f32

The fields mean what they mean in JSON. Rounded to 6 decimals, the probabilities are those of JSON, and to 3 `unknown`
is, which comes only where `start` asks for it. A person whose track is a text or a larger number gets JSON all the
same.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from inkling.service.protocol.binary_header import PREDICTION, Header
from inkling.service.protocol.errors import BadMessage
from inkling.service.protocol.fast_prediction import JsonPredictions, unchecked_prediction
from inkling.service.protocol.messages import RESETS, Prediction, Start
from inkling.service.protocol.pose_binary import NOT_TRACKED
from inkling.service.protocol.prediction_value import PredictionValue, top
from inkling.service.protocol.track_id import UNTRACKED

TOP, UNKNOWN, AHEAD = 1, 2, 8
HEADER = Header(PREDICTION, "IIQQIHBB")
DECIMALS, UNKNOWN_DECIMALS = 6, 3

_SCORE = struct.Struct("<f")
_RESET: dict[str | None, int] = {None: 0} | {reason: i for i, reason in enumerate(RESETS, 1)}
_REASON: list[str | None] = [None, *RESETS]


class PredictionMessages:
    """Results as `Prediction` messages."""

    __slots__ = ("_labels", "_lead_s", "_top_k", "_unknown")

    def __init__(
        self, labels: Sequence[str], top_k: int | None, lead_s: float | None = None, *, unknown: bool = False
    ) -> None:
        """lead_s: that of the bundle. unknown: the score is to be shown, where there is one."""
        self._labels = labels
        self._lead_s = lead_s
        self._unknown = unknown
        self._top_k = top_k if top_k is not None and top_k < len(labels) else None

    def __call__(self, value: PredictionValue) -> Prediction:
        probabilities, unknown = value.probabilities, value.unknown if self._unknown else None
        if self._top_k is None:
            return unchecked_prediction(value, self._labels[value.best], probabilities, None, unknown, self._lead_s)
        classes = top(probabilities, self._top_k)
        best = [probabilities[k] for k in classes]
        return unchecked_prediction(value, self._labels[value.best], best, classes, unknown, self._lead_s)


class PackedPredictions:
    """Results as packed bytes; as JSON where the track does not fit."""

    __slots__ = ("_flags", "_floats", "_json", "_top_k", "_unknown")

    def __init__(
        self, labels: Sequence[str], top_k: int | None, lead_s: float | None = None, *, unknown: bool = False
    ) -> None:
        """lead_s: that of the bundle. unknown: the score is to be told, where there is one."""
        self._top_k = top_k if top_k is not None and top_k < len(labels) else None
        self._flags = 0 if lead_s is None else AHEAD
        self._unknown = unknown
        self._floats = struct.Struct(f"<{len(labels)}f")
        self._json = JsonPredictions(labels, top_k, lead_s, unknown=unknown)

    def __call__(self, value: PredictionValue) -> str | bytes:
        probabilities, row = value.probabilities, value.row
        count, flags = len(probabilities), self._flags
        if self._top_k is not None:
            classes = top(probabilities, self._top_k)
            count, flags = len(classes), flags | TOP
            row = struct.pack(f"<{count}f{count}H", *(probabilities[k] for k in classes), *classes)
        elif not row:
            row = self._floats.pack(*probabilities)
        if self._unknown and value.unknown is not None:
            flags |= UNKNOWN
            row += _SCORE.pack(value.unknown)
        if value.track == NOT_TRACKED:
            return self._json(value)
        try:
            header = HEADER.pack(
                count, value.seq, value.pts_s, value.track, value.epoch, value.skipped, value.dropped, value.backlog,
                value.best, _RESET[value.reset], flags,
            )  # fmt: skip
        except struct.error:  # a track that does not fit
            if value.track != UNTRACKED:
                return self._json(value)
            header = HEADER.pack(
                count, value.seq, value.pts_s, NOT_TRACKED, value.epoch, value.skipped, value.dropped, value.backlog,
                value.best, _RESET[value.reset], flags,
            )  # fmt: skip
        return header + row


def wire_format(
    labels: Sequence[str], start: Start, lead_s: float | None = None
) -> Callable[[PredictionValue], str | bytes]:
    """How a stream's results are written for its client. lead_s: that of its bundle."""
    format = PackedPredictions if start.results == "packed" else JsonPredictions
    return format(labels, start.top_k, lead_s, unknown=start.unknown)


def unpack_prediction(data: bytes, labels: Sequence[str], lead_s: float | None = None) -> Prediction:
    """The prediction in a packed result; labels, lead_s: those of `ready`. Raises BadMessage when it is none."""
    count, seq, pts_s, track, epoch, skipped, dropped, backlog, best, reset, flags = HEADER.unpack(data)
    if flags & ~(TOP | UNKNOWN | AHEAD) or best >= len(labels) or reset >= len(_REASON):
        raise BadMessage(f"label {best}, reset {reset} or flags {flags} of a packed result are not known")
    if bool(flags & AHEAD) != (lead_s is not None):
        raise BadMessage(f"flags {flags} of a packed result and lead_s {lead_s} of ready disagree")
    scored = bool(flags & UNKNOWN)
    wanted = HEADER.size + count * (6 if flags & TOP else 4) + (_SCORE.size if scored else 0)
    if len(data) != wanted:
        raise BadMessage(f"a packed result of {count} probabilities takes {wanted} bytes, not {len(data)}")
    numbers = struct.unpack_from(f"<{count}f", data, HEADER.size)
    classes = list(struct.unpack_from(f"<{count}H", data, HEADER.size + 4 * count)) if flags & TOP else None
    unknown = round(_SCORE.unpack(data[-_SCORE.size :])[0], UNKNOWN_DECIMALS) if scored else None
    shown = [round(number, DECIMALS) for number in numbers]
    value = PredictionValue(
        seq,
        pts_s,
        UNTRACKED if track == NOT_TRACKED else track,
        best,
        shown,
        data[HEADER.size : HEADER.size + 4 * count],
        epoch,
        _REASON[reset],
        skipped,
        dropped,
        backlog,
        unknown,
    )
    return unchecked_prediction(value, labels[best], shown, classes, unknown, lead_s)
