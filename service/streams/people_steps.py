"""The people of a frame, each on their own clock: who is due for a step, who gets a slot, who has left. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from inkling.service.engine.scheduler import Lane
from inkling.service.protocol.errors import NoSlot, PeopleOverQuota, TooManyPeople
from inkling.service.protocol.track_id import TrackId
from inkling.service.streams.in_flight import FrameInFlight, PersonStep
from inkling.service.streams.responder import Responder
from inkling.service.streams.stats import Counts
from inkling.service.streams.time_watch import TimeWatch
from inkling.service.streams.tracks import Track, Tracks


class PeopleSteps:
    """Puts the steps of its people into a frame, for one stream."""

    __slots__ = ("_counts", "_responder", "_time_watch", "_tracks")

    def __init__(self, tracks: Tracks, counts: Counts, responder: Responder, time_watch: TimeWatch | None) -> None:
        """time_watch: told of frames that reset somebody for their time. None: the camera's clock is watched."""
        self._tracks = tracks
        self._counts = counts
        self._responder = responder
        self._time_watch = time_watch

    def put_into(
        self, frame: FrameInFlight, people: Sequence[TrackId], x: Sequence[Any], clock_s: float, now_s: float
    ) -> bool:
        """Steps for those of `people` who are due for one; `x` has a row for each. True: somebody who was has no slot.

        clock_s: the frame's time on its people's clocks. What ended because somebody left is put into the frame too.
        """
        tracks, pts_s = self._tracks, frame.pts_s
        without_slot = False
        for row, track_id in enumerate(people):
            track = tracks.find(track_id, pts_s)
            epoch = track.epoch
            verdict = track.resampler.push(clock_s)
            if verdict.reset is not None:
                track.reset(verdict.reset)
                if self._time_watch is not None:
                    self._responder.warn(self._time_watch.reset(self._counts.taken, pts_s, now_s))
            if verdict.steps:
                lane = track.lane or self._take_slot(track, people, frame)
                if lane is None:
                    without_slot = True
                else:
                    frame.steps.append(PersonStep(lane, x[row], verdict.steps - 1, frame, track))
            if track.epoch != epoch:
                self._count_reset(track)
        if len(tracks) > 1 or not frame.steps:  # else the only one is here
            for track in tracks.expire(pts_s):
                self._end_event(track, frame)
        return without_slot

    def knows(self, track_id: TrackId) -> bool:
        """Whether somebody of this track was seen lately."""
        return self._tracks.get(track_id) is not None

    def part_with_all(self, reason: str) -> None:
        """Whoever comes from now on is somebody else. Those of before leave as soon as their steps are answered."""
        for track in self._tracks:
            track.reset(reason)
            self._count_reset(track)
        self._tracks.part_with_all()

    def reset(self, track_id: TrackId | None, reason: str = "requested") -> None:
        """Set the state of one person, or of everybody, to its initial value."""
        track = None if track_id is None else self._tracks.get(track_id)
        for chosen in self._tracks if track_id is None else (track,):
            if chosen is not None:
                chosen.reset(reason)
                chosen.resampler.restart()
                self._count_reset(chosen)

    def _take_slot(self, track: Track, people: Collection[TrackId], frame: FrameInFlight) -> Lane | None:
        """A slot for a track that has none; None, and an error for the first time, when there is none to have."""
        try:
            lane, evicted = self._tracks.give_slot(track, people)
        except (NoSlot, TooManyPeople, PeopleOverQuota) as error:
            if not track.refusal_sent:
                track.refusal_sent = True
                self._responder.error(error)
            return None
        if evicted is not None:
            self._end_event(evicted, frame)
        return lane

    @staticmethod
    def _end_event(track: Track, frame: FrameInFlight) -> None:
        """The track gave its slot back: its action, if one is under way, ends with this frame."""
        for event in track.detector.end():
            frame.ended = [*(frame.ended or ()), (track, event)]

    def _count_reset(self, track: Track) -> None:
        if track.reason is not None:
            self._counts.resets[track.reason] += 1
