"""From the people that were found in each frame of a film to one clip for each track. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkling.models.people.detections import Detections
from inkling.models.people.tracker import PersonTracker, TrackerConfig

LEAST_S = 0.5
"""Shorter tracks are left out: most are nobody, and nobody shows an action in that time."""
LONGEST_S = 60.0
"""Longer tracks become several clips: a clip is learned from its first step to its last at once."""


@dataclass(frozen=True, slots=True, eq=False)
class FilmPeople:
    """The people that an estimator found in the frames of a film, whoever they are. pts_s: (T,), one of each frame."""

    pts_s: NDArray[np.float64]
    found: tuple[Detections, ...]

    def between(self, start_s: float, end_s: float) -> FilmPeople:
        """The frames from `start_s` on and before `end_s`."""
        which = np.flatnonzero((self.pts_s >= start_s) & (self.pts_s < end_s))
        return FilmPeople(self.pts_s[which], tuple(self.found[i] for i in which))


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person, in the frames in which they were seen. keypoints: (T, J, 3), pixels of the film. size: mean px²."""

    number: int
    pts_s: NDArray[np.float64]
    keypoints: NDArray[np.float32]
    size: float

    def parts(self, longest_s: float = LONGEST_S) -> list[Track]:
        """The track in parts of about the same length, none longer than this; one where it is short enough."""
        count = max(1, int(np.ceil((self.pts_s[-1] - self.pts_s[0]) / longest_s)))
        edges = np.linspace(self.pts_s[0], self.pts_s[-1], count + 1)[1:-1]
        cuts = np.split(np.arange(len(self.pts_s)), np.searchsorted(self.pts_s, edges))
        return [Track(self.number, self.pts_s[cut], self.keypoints[cut], self.size) for cut in cuts if len(cut) > 1]


def tracks_of(film: FilmPeople, config: TrackerConfig, least_s: float = LEAST_S) -> list[Track]:
    """The tracks of a film that last for at least `least_s`, in the order in which they begin."""
    tracker = PersonTracker(config)
    times: dict[int, list[float]] = defaultdict(list)
    poses: dict[int, list[NDArray[np.float32]]] = defaultdict(list)
    sizes: dict[int, list[float]] = defaultdict(list)
    for pts_s, found in zip(film.pts_s.tolist(), film.found, strict=True):
        people = tracker.update(found, pts_s)
        for number, box, keypoints in zip(people.tracks.tolist(), people.boxes, people.keypoints, strict=True):
            times[number].append(pts_s)
            poses[number].append(keypoints)
            sizes[number].append(float((box[2] - box[0]) * (box[3] - box[1])))
    found_tracks = [
        Track(number, np.array(times[number]), np.stack(poses[number]), float(np.mean(sizes[number])))
        for number in sorted(times)
        if len(times[number]) > 1
    ]
    return [track for track in found_tracks if track.pts_s[-1] - track.pts_s[0] >= least_s]


def main_track(tracks: Sequence[Track]) -> list[Track]:
    """The track that shows the most of somebody: its frames times their size. Nothing of nothing."""
    return sorted(tracks, key=lambda track: -len(track.pts_s) * track.size)[:1]
