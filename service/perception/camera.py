"""One stream's camera: who is tracked in it, and whether its next picture may be passed over. Pure.

For perception's thread alone, and for the frames of one stream in their order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkling.models.people.detections import Detections
from inkling.models.people.motion import MotionGate
from inkling.models.people.track_changes import Changes, TrackChanges
from inkling.models.people.tracker import PersonTracker, TrackedPeople


class Camera:
    """The tracker and the motion gate of one stream."""

    __slots__ = ("_changes", "_epoch", "_gate", "_most", "_tracker", "passed_over")

    def __init__(self, tracker: PersonTracker, gate: MotionGate | None, most: int) -> None:
        """gate: None where every picture is perceived. most: people who are given on, of those who are tracked."""
        self._tracker = tracker
        self._changes = TrackChanges(tracker.config.lost_s)
        self._gate = gate
        self._most = most
        self._epoch = 0
        self.passed_over = False
        """Whether the last picture was; so the next one is likely to be. Any thread may read it."""

    def still(self, grey: NDArray[np.uint8] | None, pts_s: float, epoch: int) -> bool:
        """Whether nothing has moved and nobody is tracked, so that the picture may be passed over.

        epoch: another one than that of the picture before means that the camera was reset in between.
        """
        if epoch != self._epoch:
            self._epoch = epoch
            self._tracker.reset()
            self._changes.reset()
            if self._gate is not None:
                self._gate.reset()
        if self._gate is None or grey is None:
            return False
        self.passed_over = not self._gate.decide(grey, pts_s, self._tracker.alive > 0).open
        return self.passed_over

    def track(self, found: Detections, pts_s: float) -> tuple[TrackedPeople, Changes]:
        """Who is in the picture, and what became of tracks in it. The longest tracked come first.

        Nobody beyond `most` is given on.
        """
        people = self._tracker.update(found, pts_s)
        changes = self._changes.saw(people, pts_s)
        if len(people.tracks) <= self._most:
            return people, changes
        kept = slice(self._most)
        first = TrackedPeople(people.tracks[kept], people.boxes[kept], people.scores[kept], people.keypoints[kept])
        return first, changes._replace(unwatched=len(people.tracks) - self._most)

    def not_perceived(self) -> None:
        """The picture could not be perceived: the next one must be, whatever moved."""
        if self._gate is not None:
            self._gate.reset()
