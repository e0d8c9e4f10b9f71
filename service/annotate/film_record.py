"""What a server said of a film: who was seen when, what they did, and what is known at any moment of it. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inkling.service.client.wording import in_advance
from inkling.service.protocol.codec import DecisionMessage, Event, PeopleMessage, Prediction
from inkling.service.protocol.track_id import TrackId

UNKNOWN = "unknown"
"""Stands where what somebody does is perhaps none of the labels."""
APART_S = 0.35
"""Two looks at somebody that lie further apart are not joined: where they were in between is not known."""
STALE_S = 1.0
"""An older prediction says nothing of now."""
HALF_LOOK_S = 0.1
"""How long before they are first seen, or after they are last seen, somebody is taken to be in the same place."""


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Where somebody is. box: float32 (4,), left, top, right, bottom. keypoints: float32 (J, 3), x, y and confidence;
    both in pixels of the film, upright."""

    box: NDArray[np.float32]
    keypoints: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PersonNow:
    """One person at one moment. body: None where they are known by their actions alone.

    leading: (label, probability), best first. active: the label of the event that is under way, and since when. ahead:
    said before the labels that lead, where they are not of the moment: `in 0.5 s: `.
    """

    track: TrackId
    body: Body | None
    leading: Sequence[tuple[str, float]]
    active: tuple[str, float] | None
    ahead: str = ""


@dataclass(slots=True)
class _Life:
    """One track. Times rise."""

    seen_s: list[float] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    said_s: list[float] = field(default_factory=list)
    probabilities: list[NDArray[np.float32]] = field(default_factory=list)
    unknown: list[float] = field(default_factory=list)
    """0 where the bundle has no such score."""
    events: list[Event] = field(default_factory=list)
    ahead: str = ""


class FilmRecord:
    """Collects what comes of one film. Messages of one kind come in the order of time."""

    def __init__(self, labels: Sequence[str]) -> None:
        """labels: what probabilities are of."""
        self.labels = tuple(labels)
        self.unknown_above: float | None = None
        self.events: list[Event] = []
        self.decisions: list[DecisionMessage] = []
        self._lives: dict[TrackId, _Life] = {}
        self._around: dict[int, set[TrackId]] = {}
        """Who is known of in each second, so that a long film with many tracks is not looked through at each frame."""

    def saw(self, message: PeopleMessage) -> None:
        """Who is in a frame."""
        for person in message.people:
            life = self._life(person.track, message.pts_s)
            life.seen_s.append(message.pts_s)
            life.bodies.append(Body(np.array(person.box, np.float32), np.array(person.keypoints, np.float32)))

    def predicted(self, prediction: Prediction) -> None:
        life = self._life(prediction.track, prediction.pts_s)
        life.said_s.append(prediction.pts_s)
        life.ahead = in_advance(prediction)
        life.probabilities.append(np.array(prediction.probabilities, np.float32))
        life.unknown.append(prediction.unknown or 0.0)

    def event(self, event: Event) -> None:
        self.events.append(event)
        self._life(event.track, event.pts_s).events.append(event)

    def decision(self, decision: DecisionMessage) -> None:
        self.decisions.append(decision)

    @property
    def tracks(self) -> list[TrackId]:
        """Everybody, in the order in which they came."""
        return list(self._lives)

    def poses(self, track: TrackId) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """`pts_s` (T,) and keypoints (T, J, 3) of one track, where it was seen."""
        life = self._lives[track]
        return np.array(life.seen_s), np.stack([body.keypoints for body in life.bodies]) if life.bodies else np.zeros(
            (0, 0, 3), np.float32
        )

    def people_at(self, pts_s: float, best: int = 3) -> list[PersonNow]:
        """Who is there at a time, in the order of their tracks; with their `best` labels. The first of these is
        `UNKNOWN`, with its score, where that is above `unknown_above`.

        Between two looks at somebody their body is in between. Nobody is shown where they were not seen.
        """
        people = []
        second = math.floor(pts_s)
        for track in set().union(*(self._around.get(near, ()) for near in (second - 1, second, second + 1))):
            life = self._lives[track]
            body = _body_at(life, pts_s)
            place = bisect_right(life.said_s, pts_s) - 1
            fresh = place >= 0 and pts_s - life.said_s[place] <= STALE_S
            if body is None and (life.bodies or not fresh):
                continue
            shares = life.probabilities[place] if fresh else np.zeros(0, np.float32)
            order = np.argsort(-shares, kind="stable")[:best]
            leading = [(self.labels[i], float(shares[i])) for i in order]
            if fresh and self.unknown_above is not None and life.unknown[place] > self.unknown_above:
                leading = [(UNKNOWN, life.unknown[place]), *leading][:best]
            people.append(PersonNow(track, body, leading, _active_at(life, pts_s), life.ahead))
        return sorted(people, key=lambda person: (isinstance(person.track, str), person.track))

    def events_at(self, pts_s: float, for_s: float) -> list[Event]:
        """The events of the last `for_s` seconds, oldest first."""
        first, last = (bisect_right(self.events, time_s, key=_time) for time_s in (pts_s - for_s, pts_s))
        return self.events[first:last]

    def _life(self, track: TrackId, pts_s: float) -> _Life:
        self._around.setdefault(math.floor(pts_s), set()).add(track)
        return self._lives.setdefault(track, _Life())


def _time(event: Event) -> float:
    return event.pts_s


def _body_at(life: _Life, pts_s: float) -> Body | None:
    after = bisect_right(life.seen_s, pts_s)
    earlier, later = life.seen_s[after - 1 : after], life.seen_s[after : after + 1]
    if earlier and later and later[0] - earlier[0] <= APART_S:
        return _between(life.bodies[after - 1], life.bodies[after], (pts_s - earlier[0]) / (later[0] - earlier[0]))
    if earlier and pts_s - earlier[0] <= HALF_LOOK_S:
        return life.bodies[after - 1]
    if later and later[0] - pts_s <= HALF_LOOK_S / 2:
        return life.bodies[after]
    return None


def _between(first: Body, second: Body, share: float) -> Body:
    """The body on its way; a joint that only one of the two has is where that one has it."""
    keypoints = first.keypoints + (second.keypoints - first.keypoints) * np.float32(share)
    only_second = first.keypoints[:, 2] <= 0
    only_first = second.keypoints[:, 2] <= 0
    keypoints[only_second] = second.keypoints[only_second]
    keypoints[only_first] = first.keypoints[only_first]
    return Body(first.box + (second.box - first.box) * np.float32(share), keypoints)


def _active_at(life: _Life, pts_s: float) -> tuple[str, float] | None:
    """The event that has begun and not ended."""
    last = None
    for event in life.events:
        if event.pts_s > pts_s:
            break
        last = event
    return (last.label, last.pts_s) if last is not None and last.phase == "begin" else None
