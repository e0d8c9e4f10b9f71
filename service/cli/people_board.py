"""Who is in view of a live stream and what each of them does: a row a person, for the terminal. Pure.

Times are those of the film or camera, in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from inkling.service.annotate.figure import COCO17, Figure
from inkling.service.annotate.film_record import UNKNOWN, Body
from inkling.service.client.wording import happening, in_advance
from inkling.service.protocol.codec import DecisionMessage, Event, PeopleMessage, Prediction
from inkling.service.protocol.track_id import TrackId

GONE_S = 2.0
"""After so long without a prediction somebody has left."""
EVENTS_KEPT = 50


@dataclass(slots=True)
class Row:
    """One person. since_s: since when `label` leads. It is `UNKNOWN`, and the share its score, where that is high.

    active: the event that is under way, and since when. ahead: said before a label of a later moment: `in 0.5 s: `.
    """

    track: TrackId
    label: str = ""
    share: float = 0.0
    second: str = ""
    second_share: float = 0.0
    since_s: float = 0.0
    said_s: float = 0.0
    active: tuple[str, float] | None = None
    ahead: str = ""


@dataclass
class PeopleBoard:
    """What a stream has said. told: lines about events and decisions, oldest first."""

    labels: Sequence[str] = ()
    unknown_above: float | None = None
    told: deque[str] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    bodies: dict[TrackId, Body] = field(default_factory=dict)
    """Of the latest frame that was looked at."""
    figure: Figure = COCO17
    """What their keypoints are."""
    size: tuple[int, int] = (0, 0)
    latency_s: float | None = None
    now_s: float = 0.0
    frames: int = 0
    _rows: dict[TrackId, Row] = field(default_factory=dict)
    _active: dict[TrackId, tuple[str, float]] = field(default_factory=dict)
    """An event may come before the prediction that it follows from is taken."""

    def predicted(self, prediction: Prediction) -> None:
        self.now_s = max(self.now_s, prediction.pts_s)
        order = np.argsort(-np.asarray(prediction.probabilities), kind="stable")[:2].tolist()
        leading = [(self.labels[i], prediction.probabilities[i]) for i in order]
        unknown, above = prediction.unknown, self.unknown_above
        if unknown is not None and above is not None and unknown > above:
            leading = [(UNKNOWN, unknown), *leading]
        row = self._rows.setdefault(prediction.track, Row(prediction.track))
        label, row.share = leading[0]
        if label != row.label:
            row.label, row.since_s = label, prediction.pts_s
        row.ahead, row.said_s = in_advance(prediction), prediction.pts_s
        if len(leading) > 1:
            row.second, row.second_share = leading[1]

    def saw(self, seen: PeopleMessage) -> None:
        self.bodies = {
            person.track: Body(np.array(person.box, np.float32), np.array(person.keypoints, np.float32))
            for person in seen.people
        }

    def event(self, event: Event) -> None:
        sign = "▶" if event.phase == "begin" else "■"
        self.told.append(f"{sign} {event.pts_s:6.1f} s  #{event.track} {happening(event, named(event.label))}")
        if event.phase == "begin":
            self._active[event.track] = event.label, event.pts_s
        else:
            self._active.pop(event.track, None)

    def decision(self, decision: DecisionMessage) -> None:
        self.told.append(
            f"✔ {decision.pts_s:6.1f} s  #{decision.track} {in_advance(decision)}{named(decision.label)} decided, "
            f"≤ {decision.error_rate:.0%} wrong"
        )

    def shown(self, count: int) -> tuple[list[Row], int]:
        """At most `count` people in the order of their tracks, and how many more there are; who has left is forgotten.

        Where not all have room, those in whom an event is under way come first, then those who came last.
        """
        for track in [track for track, row in self._rows.items() if self.now_s - row.said_s > GONE_S]:
            del self._rows[track]
            self._active.pop(track, None)
        rows = [replace(row, active=self._active.get(track)) for track, row in self._rows.items()]
        rows.sort(key=lambda row: (isinstance(row.track, str), row.track))
        if len(rows) > count:
            urgent = sorted(range(len(rows)), key=lambda place: (rows[place].active is None, -place))[:count]
            return [rows[place] for place in sorted(urgent)], len(rows) - count
        return rows, 0


def named(label: str) -> str:
    """A label as it is shown."""
    return label.replace("_", " ")
