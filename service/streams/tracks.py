"""The people of one stream: their clocks, epochs and places in the state pool. Pure; runs on the event loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from inkling.models.bundle.schema import BundleSpec
from inkling.models.clock import Resampler
from inkling.service.engine.scheduler import Lane, Prepare
from inkling.service.engine.state_pool import Slot, StatePool
from inkling.service.protocol.errors import NoSlot, TooManyPeople
from inkling.service.protocol.track_id import TrackId
from inkling.service.streams.early_decision import EarlyDecisions, EarlyDecisionTerms
from inkling.service.streams.event_detector import EventDetector

_REMEMBERED = 4
"""Tracks that a stream remembers without a slot, in multiples of `max_people`."""


class PeopleQuota(Protocol):
    """How many people several streams may have watched, all together; it is asked only when that number changes."""

    @property
    def full(self) -> bool: ...

    def take(self) -> None:
        """One more is watched. Raises PeopleOverQuota."""

    def give_back(self) -> None:
        """One of them is not watched any more."""


class Track:
    """One person of a stream.

    epoch counts the resets, reason is that of the last one; answered_epoch is that of the last result, so that the
    first result of an epoch can say why. lane is None while the track has no slot. waiting: steps not answered yet.
    detector: of its events. early_decisions: where the stream asked for them. refusal_sent: the client knows that
    there is no slot for it.
    """

    __slots__ = (
        "answered_epoch",
        "detector",
        "early_decisions",
        "epoch",
        "id",
        "lane",
        "last_pts_s",
        "lost_epoch",
        "reason",
        "refusal_sent",
        "resampler",
        "slot",
        "waiting",
    )  # fmt: skip

    def __init__(
        self,
        track: TrackId,
        pts_s: float,
        resampler: Resampler,
        detector: EventDetector,
        early_decisions: EarlyDecisions | None = None,
    ) -> None:
        self.id = track
        self.last_pts_s = pts_s
        self.resampler = resampler
        self.detector = detector
        self.early_decisions = early_decisions
        self.slot: Slot | None = None
        self.lane: Lane | None = None
        self.epoch = self.answered_epoch = 0
        self.lost_epoch = -1  # the epoch whose state went with a slot
        self.reason: str | None = None
        self.waiting = 0
        self.refusal_sent = False

    def reset(self, reason: str) -> None:
        """The next step starts from the initial state, whatever becomes of the frames before it."""
        self.epoch += 1
        self.reason = reason


class Tracks:
    """Every person whom a stream has seen lately.

    At most `max_people` of them hold a slot, and as many as the `quota` has room for; when one more comes, the one
    unseen for longest gives way. A track unseen
    for `timeout_s` of the stream's own time gives its slot back; should it return, that was a gap.
    """

    def __init__(
        self,
        spec: BundleSpec,
        pool: StatePool,
        prepare: Prepare,
        close: Callable[[Lane], None],
        max_people: int,
        timeout_s: float,
        terms: EarlyDecisionTerms | None = None,
        quota: PeopleQuota | None = None,
    ) -> None:
        """close: takes a lane from the scheduler when its slot is given back. terms: of early decisions; None: none."""
        self._spec = spec
        self._pool = pool
        self._prepare = prepare
        self._close = close
        self._max_people = max_people
        self._terms = terms
        self._quota = quota
        self._timeout_s = max(timeout_s, spec.gaps.max_gap_s)
        self._background = None if spec.background is None else spec.labels.index(spec.background)
        self._with_slot: dict[TrackId, Track] = {}  # with a slot; the one unseen for longest first
        self._without_slot: dict[TrackId, Track] = {}  # without; likewise
        self.seen = 0
        """Tracks ever, those forgotten since counted again when they return."""

    def __iter__(self) -> Iterator[Track]:
        yield from self._with_slot.values()
        yield from self._without_slot.values()

    def __len__(self) -> int:
        """Tracks that hold a slot."""
        return len(self._with_slot)

    def find(self, track_id: TrackId, pts_s: float) -> Track:
        """The track of a person who is in the frame at `pts_s`, made when it is new."""
        track = self._with_slot.get(track_id)
        if track is not None:
            if len(self._with_slot) > 1:  # to the end: seen last
                self._with_slot[track_id] = self._with_slot.pop(track_id)
        else:
            track = self._without_slot.pop(track_id, None) or self._new(track_id, pts_s)
            self._without_slot[track_id] = track
            if len(self._without_slot) > _REMEMBERED * self._max_people:
                del self._without_slot[next(iter(self._without_slot))]
        track.last_pts_s = pts_s
        return track

    def get(self, track_id: TrackId) -> Track | None:
        return self._with_slot.get(track_id) or self._without_slot.get(track_id)

    def give_slot(self, track: Track, present: Collection[TrackId]) -> tuple[Lane, Track | None]:
        """Give a track that has none a slot; returns its lane, and who lost theirs for it.

        Those in `present` (the frame's people) and those with steps waiting keep theirs.
        Raises NoSlot when the pool is full, TooManyPeople or PeopleOverQuota when nobody of this stream may give way.
        """
        evicted: Track | None = None
        crowded = len(self._with_slot) >= self._max_people
        if crowded or (self._quota is not None and self._quota.full):
            free = (other for other in self._with_slot.values() if not other.waiting and other.id not in present)
            evicted = next(free, None)
            if evicted is not None:
                self._take_slot_back(evicted)
            elif crowded:
                raise TooManyPeople(f"track {track.id!r} is not watched: {self._max_people} people of this stream are")
        track.slot = self._acquire()
        if track.lost_epoch == track.epoch:
            track.reset("evicted")
        track.lane = Lane(track.slot.index, track.slot.generation, self._prepare)
        track.refusal_sent = False
        self._without_slot.pop(track.id, None)
        self._with_slot[track.id] = track
        return track.lane, evicted

    def expire(self, pts_s: float) -> list[Track]:
        """Take back the slots of those unseen for the timeout before (or after a jump backward) `pts_s`."""
        gone: list[Track] = []
        for track in self._with_slot.values():
            if track.waiting or abs(pts_s - track.last_pts_s) <= self._timeout_s:
                break
            gone.append(track)
        for track in gone:
            self._take_slot_back(track)
        return gone

    def vacate(self) -> list[Track]:
        """Take back every slot that nothing waits for: nobody is in sight. Returns who had one."""
        gone = [track for track in self._with_slot.values() if not track.waiting]
        for track in gone:
            self._take_slot_back(track)
        return gone

    def part_with_all(self) -> None:
        """Nobody of now comes back: `expire` takes their slots next."""
        self._without_slot.clear()
        for track in self._with_slot.values():
            track.last_pts_s = -math.inf

    def close(self) -> None:
        """Give every slot back and forget everybody."""
        for track in list(self._with_slot.values()):
            self._take_slot_back(track)
        self._without_slot.clear()

    def _acquire(self) -> Slot:
        """Raises NoSlot, PeopleOverQuota."""
        if self._quota is not None:
            self._quota.take()
        try:
            return self._pool.acquire()
        except NoSlot:
            if self._quota is not None:
                self._quota.give_back()
            raise

    def _take_slot_back(self, track: Track) -> None:
        lane, slot = track.lane, track.slot
        if lane is None or slot is None:
            raise ValueError(f"track {track.id} has no slot")
        self._close(lane)
        self._pool.release(slot)
        if self._quota is not None:
            self._quota.give_back()
        track.lane = track.slot = None
        track.lost_epoch = track.epoch
        del self._with_slot[track.id]
        self._without_slot[track.id] = track

    def _new(self, track_id: TrackId, pts_s: float) -> Track:
        self.seen += 1
        gaps = self._spec.gaps
        resampler = Resampler(self._spec.rate_hz, gaps.policy, gaps.max_gap_s)
        early_decisions = None if self._terms is None else EarlyDecisions(self._terms)
        return Track(track_id, pts_s, resampler, EventDetector(self._spec.decision, self._background), early_decisions)
