"""Frames whose people are to be found first: each keeps its place, waits for perception, and is stepped then. Pure.

The camera's clock chooses before that: a frame that no tick wants is skipped, undecoded. People live on the
ticks of that clock, so that every frame that was perceived is a step of theirs, and a frame that was dropped a tick
without one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

from inkling.models.bundle.schema import BundleSpec
from inkling.models.clock import Resampler
from inkling.service.inputs.frame_mapper import IncomingImage
from inkling.service.perception.stream_perception import StreamPerception
from inkling.service.protocol.errors import PerceptionFailed, TooManyPeople
from inkling.service.protocol.track_id import TrackId
from inkling.service.streams.in_flight import FrameInFlight, FrameOwner, FramePerception
from inkling.service.streams.intake import FrameMessage, has_memory, time_of
from inkling.service.streams.pending import PendingFrames
from inkling.service.streams.people_steps import PeopleSteps
from inkling.service.streams.responder import Responder
from inkling.service.streams.stats import Counts
from inkling.service.streams.time_watch import SAY_AGAIN_S, SKIPPED_IN_A_TICK, TimeWatch


class CameraIntake:
    """The frames of one camera."""

    def __init__(
        self,
        owner: FrameOwner,
        spec: BundleSpec,
        perception: StreamPerception,
        people: PeopleSteps,
        pending: PendingFrames,
        responder: Responder,
        counts: Counts,
        time_watch: TimeWatch,
    ) -> None:
        self._owner = owner
        self._perception = perception
        self._people = people
        self._pending = pending
        self._responder = responder
        self._counts = counts
        self._time_watch = time_watch
        self._clock = Resampler(spec.rate_hz, spec.gaps.policy, spec.gaps.max_gap_s)
        self._epoch = 0  # resets of the camera, of which those up to `_applied` have reached its people
        self._applied = 0
        self._reason = "requested"  # of the last one
        self._pictures = 0
        self._crowded_s = -math.inf  # when it was last said that there are too many people
        self._fitted_bytes = 0 if perception.frame is None else math.prod(perception.frame.shape)
        self._resets: dict[TrackId, int] = {}
        """Of single people: each waits for the first picture after this number."""

    def take(self, message: FrameMessage, opened_s: float, now_s: float) -> bool:
        """As `Intake.take`."""
        pts_s = time_of(message, opened_s, now_s)
        image = self._perception.accept(cast("IncomingImage", message))  # the session takes no other
        verdict = self._clock.push(pts_s)
        number = self._counts.taken
        if verdict.reset is not None:
            self._responder.warn(self._time_watch.reset(number, pts_s, now_s))
            if verdict.reset == "backward":  # another recording: who is in it is not known yet
                self._begin_anew("backward")
        frame = FrameInFlight(self._owner, message.seq, pts_s, now_s)
        if not verdict.steps:
            self._counts.skipped += 1
            if number % SKIPPED_IN_A_TICK == 0:
                self._responder.warn(self._time_watch.skipped(number, pts_s, now_s))
            self._pending.append_silent(frame)
            return True
        self._pictures += 1
        frame.picture = FramePerception(
            self._perception.lane,
            image,
            self._perception.camera,
            frame,
            epoch=self._epoch,
            reason=self._reason,
            number=self._pictures,
            clock_s=self._clock.tick_s,
        )
        if not has_memory(frame, message, self._pending, self._responder, self._fitted_bytes):
            return True
        if not self._pending.submit(frame):
            return False
        self._responder.drop("overflow")
        return True

    def reset(self, track_id: TrackId | None) -> None:
        """As `Intake.reset`: it waits for the people of the frames before it. Without a track everybody is new after
        it, and so are their tracks."""
        if track_id is None:
            self._begin_anew("requested")
            self._clock.restart()
        elif self._people.knows(track_id):
            self._resets[track_id] = self._pictures

    def perceived(self, picture: FramePerception, now_s: float) -> None:
        """Perception of a frame is done: its people's steps go into it, and what became of it is counted."""
        frame, found = picture.frame, picture.people
        if picture.epoch != self._applied:
            self._applied = picture.epoch
            self._people.part_with_all(picture.reason)
        for track_id in [track_id for track_id, last in self._resets.items() if last < picture.number]:
            del self._resets[track_id]
            self._people.reset(track_id)
        tracks: list[int] = [] if found is None else found.tracks.tolist()
        poses: Sequence[Any] = () if found is None else list(found.keypoints)
        if self._perception.frame is not None and found is not None:
            fitted = picture.fitted[self._perception.frame]
            poses = [(pose, fitted) for pose in poses]
        without_slot = self._people.put_into(frame, tracks, poses, picture.clock_s, now_s)
        counts = self._counts
        if picture.error is not None:
            counts.refused += 1
            frame.refused = picture.error
            return
        if found is None and not picture.still:
            self._responder.drop("failed")
            frame.refused = PerceptionFailed(
                "people could not be looked for in this frame; those of the frames before it are as they were"
            )
            return
        counts.gated += picture.still
        counts.perceived += not picture.still
        counts.found += len(tracks)
        counts.tracks_begun += picture.changes.begun
        counts.tracks_lost += picture.changes.lost
        counts.tracks_renewed += picture.changes.renewed
        if picture.changes.unwatched:
            self._say_crowded(len(tracks), picture.changes.unwatched, now_s)
        if self._responder.wants_people:
            frame.people = found
        if without_slot and not frame.steps:
            self._responder.drop("no_slot")
        elif not frame.steps:
            counts.skipped += 1

    def _say_crowded(self, watched: int, more: int, now_s: float) -> None:
        """Nothing is refused, but not everybody is watched; said again when `SAY_AGAIN_S` have passed."""
        if now_s < self._crowded_s + SAY_AGAIN_S:
            return
        self._crowded_s = now_s
        self._responder.warn(
            TooManyPeople(
                f"{watched + more} people or more are in view, and only the {watched} who came first are watched: raise"
                " people_max of the settings (or max_people of the source's perception), and max_people"
            )
        )

    def _begin_anew(self, reason: str) -> None:
        self._epoch += 1
        self._reason = reason
        self._resets.clear()
