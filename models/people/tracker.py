"""Who is who from frame to frame: people that were found get a track, and keep it. Pure.

    tracker = PersonTracker(TrackerConfig())
    people = tracker.update(detections, pts_s=12.4)  # people.tracks[i] is the track of people.keypoints[i]

A track begins with a sure detection, or with two that are fairly sure, and goes on with weak ones: people who lie on
the floor get low scores, and a low score beside a person who was there before is that person. It is lost for at most
`lost_s`; who comes back later is a new track. Time is in seconds, so that frames may come at any rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.people.detections import Detections
from inkling.models.people.matching import greedy_pairs
from inkling.models.people.oks import area, iou, oks, sigmas
from inkling.models.skeletons import get

Floats = NDArray[np.float64]

_FARTHEST_PX = 1e6
"""Coordinates are cut to this: no picture is as large, and squares of them stay exact enough."""


SURE_SCORE = 0.25
"""Score from which somebody new is believed at first sight, unless a bundle believes nobody below a higher one."""


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """What begins a track, what keeps it, and when it ends. Scores are the estimator's, times in seconds."""

    skeleton: str = "coco17"
    """Of the keypoints: its name says how exactly each joint can be placed."""
    begin_score: float = 0.18
    """A track begins with a detection of at least this score, once it is seen a second time."""
    sure_score: float = SURE_SCORE
    """A detection of at least this score begins a track at once."""
    keep_score: float = 0.06
    """A track goes on with a detection of at least this score; weaker ones are ignored."""
    least_alike: float = 0.1
    """A detection is a track's next one if the mean of OKS and IoU is at least this."""
    same_alike: float = 0.6
    """A detection that is at least so much like one with a track begins none: it is the same person, found twice."""
    lost_s: float = 1.0
    """How long a track may be lost, and still go on. A gap in time longer than this ends every track."""
    unconfirmed_s: float = 0.5
    """How long a detection that began nothing yet waits to be seen again; at least until the next frame."""
    most: int = 64
    """Tracks kept at a time, lost and unconfirmed ones included. Of a frame's people, twice as many are looked at."""
    velocity_s: float = 0.3
    """Time constant over which a velocity is averaged."""
    coast_s: float = 1.0
    """Time constant over which a person who is not seen is taken to come to rest."""
    stray: float = 0.5
    """How far a joint may stray from where it was expected, in body sizes a second."""

    @classmethod
    def of(cls, skeleton: str, begin_score: float, keep_score: float, lost_s: float = 1.0) -> TrackerConfig:
        """With the scores of a people bundle, or those that are asked for instead. Nobody is believed at first sight
        below `begin_score`, nor kept above it."""
        sure_score = max(SURE_SCORE, begin_score)
        return cls(skeleton, begin_score, sure_score, min(keep_score, begin_score), lost_s=lost_s)

    def __post_init__(self) -> None:
        if not 0 <= self.keep_score <= self.begin_score <= self.sure_score:
            raise ValueError(
                "scores must be in order, keep_score <= begin_score <= sure_score, not"
                f" {self.keep_score}, {self.begin_score}, {self.sure_score}"
            )
        times = (self.lost_s, self.velocity_s, self.coast_s)
        if not (min(times) > 0 and self.unconfirmed_s >= 0 and self.stray >= 0 and self.most >= 1):
            raise ValueError("times and most must be positive")
        get(self.skeleton)


@dataclass(frozen=True, slots=True)
class TrackedPeople:
    """The people of one frame who are tracked and seen in it, in the order of their tracks."""

    tracks: NDArray[np.int64]
    """(N,): each is there once; an id is never given to a second person of the stream."""
    boxes: NDArray[np.float32]
    """(N, 4): left, top, right, bottom, in pixels."""
    scores: NDArray[np.float32]
    """(N,)"""
    keypoints: NDArray[np.float32]
    """(N, J, 3): x, y, confidence."""


@dataclass(slots=True)
class _Tracks:
    """One row a track, in the order in which they began."""

    ids: NDArray[np.int64]  # (P,): 0: not confirmed, it has no id yet
    keypoints: Floats  # (P, J, 3), as last seen
    boxes: Floats  # (P, 4), as last seen
    velocity: Floats  # (P, 2), px/s
    began_s: Floats  # (P,)
    seen_s: Floats  # (P,)

    @classmethod
    def none(cls, joints: int) -> _Tracks:
        return cls(
            np.zeros(0, np.int64),
            np.zeros((0, joints, 3)),
            np.zeros((0, 4)),
            np.zeros((0, 2)),
            np.zeros(0),
            np.zeros(0),
        )

    def keep(self, which: NDArray[np.bool_]) -> None:
        if not which.all():
            for field in fields(self):
                setattr(self, field.name, getattr(self, field.name)[which])


class PersonTracker:
    """The tracks of one stream.

    The same frames give the same tracks, in whatever order a frame's people come. What it keeps is bounded by
    `config.most` tracks.
    """

    __slots__ = ("_joints", "_k2", "_next_id", "_now_s", "_tracks", "config")

    def __init__(self, config: TrackerConfig) -> None:
        self.config = config
        self._k2 = (2 * sigmas(get(config.skeleton).joints)) ** 2
        self._joints = len(self._k2)
        self._next_id = 1
        self._now_s = -math.inf
        self._tracks = _Tracks.none(self._joints)

    def __len__(self) -> int:
        """Tracks that are kept: seen, lost, or not confirmed."""
        return len(self._tracks.ids)

    @property
    def alive(self) -> int:
        """People who have a track now, seen in the last frame or lost for less than `lost_s`."""
        return int(np.count_nonzero(self._tracks.ids))

    def reset(self) -> None:
        """Forget everybody. Ids go on: none is used again."""
        self._tracks = _Tracks.none(self._joints)
        self._now_s = -math.inf

    def update(self, detections: Detections, pts_s: float) -> TrackedPeople:
        """Who is in the frame presented at `pts_s` (seconds, finite).

        A frame that is late by up to `lost_s` counts as of the time of the newest one; one that is later than that is
        another recording, and everybody is new in it. People with numbers that are not finite are ignored.
        Raises ValueError when `pts_s` is not finite, or the keypoints have another number of joints than the skeleton.
        """
        if not math.isfinite(pts_s):
            raise ValueError(f"pts_s must be finite, not {pts_s}")
        boxes, scores, keypoints = self._in_order(detections)
        if abs(pts_s - self._now_s) > self.config.lost_s:
            self._tracks = _Tracks.none(self._joints)
        else:
            pts_s = max(pts_s, self._now_s)
        self._now_s = pts_s
        self._tracks.keep(pts_s - self._tracks.seen_s <= self.config.lost_s)
        before = len(self)
        row_of = self._match(boxes, scores, keypoints, pts_s)
        matched = np.flatnonzero(row_of >= 0)
        self._move(row_of[matched], boxes[matched], keypoints[matched], pts_s)
        begun = self._begin(boxes, scores, keypoints, row_of, pts_s)
        row_of[begun] = before + np.arange(len(begun))
        seen = np.flatnonzero(row_of >= 0)
        tracks = self._tracks.ids[row_of[seen]]
        order = np.argsort(tracks)[np.count_nonzero(tracks == 0) :]  # 0: not confirmed
        seen, tracks = seen[order], tracks[order]
        waits = pts_s - self._tracks.seen_s <= self.config.unconfirmed_s
        self._tracks.keep((self._tracks.ids > 0) | (self._tracks.seen_s == pts_s) | waits)
        return TrackedPeople(
            tracks,
            boxes[seen].astype(np.float32),
            scores[seen].astype(np.float32),
            keypoints[seen].astype(np.float32),
        )

    def snapshot(self) -> dict[str, Any]:
        """Everything it knows, as arrays and numbers; `restore` takes it back."""
        arrays = {field.name: getattr(self._tracks, field.name).copy() for field in fields(_Tracks)}
        return {**arrays, "next_id": self._next_id, "now_s": self._now_s}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on as the tracker would have from which the snapshot was taken."""
        self._tracks = _Tracks(**{field.name: np.array(snapshot[field.name]) for field in fields(_Tracks)})
        self._next_id = int(snapshot["next_id"])
        self._now_s = float(snapshot["now_s"])

    def _in_order(self, found: Detections) -> tuple[Floats, Floats, Floats]:
        """Boxes, scores and keypoints that count, the surest first, equals in an order that only they decide."""
        boxes, scores, keypoints = (np.asarray(a, np.float64) for a in (found.boxes, found.scores, found.keypoints))
        if boxes.shape != (len(scores), 4) or keypoints.shape != (len(scores), self._joints, 3):
            raise ValueError(
                f"boxes {boxes.shape}, scores {scores.shape} and keypoints {keypoints.shape} are not of the same people"
                f" with {self._joints} joints ({self.config.skeleton})"
            )
        rows = np.concatenate([boxes, keypoints.reshape(len(scores), self._joints * 3)], 1)
        counts = (scores >= self.config.keep_score) & np.isfinite(scores) & np.isfinite(rows).all(1)
        which = np.flatnonzero(counts)
        which = which[np.argsort(-scores[which], kind="stable")]
        ranked = scores[which]
        if (ranked[1:] == ranked[:-1]).any():
            which = np.array(sorted(which.tolist(), key=lambda i: (-scores[i], rows[i].tobytes())))
        which = which[: 2 * self.config.most]
        rows = np.clip(rows[which], -_FARTHEST_PX, _FARTHEST_PX)
        kept = rows[:, 4:].reshape(len(which), self._joints, 3)
        np.clip(kept[..., 2], 0, 1, out=kept[..., 2])
        return rows[:, :4], scores[which], kept

    def _match(self, boxes: Floats, scores: Floats, keypoints: Floats, pts_s: float) -> NDArray[np.int64]:
        """(N,) the row of each detection's track, -1 where it has none.

        First the detections that could begin a track, then weak ones with what is left of the confirmed tracks.
        """
        row_of = np.full(len(scores), -1, np.int64)
        if not len(self) or not len(scores):
            return row_of
        alike = self._similarity(boxes, keypoints, pts_s)
        strong = int(np.count_nonzero(scores >= self.config.begin_score))  # they come first
        for row, column in greedy_pairs(alike[:, :strong], self.config.least_alike):
            row_of[column] = row
            alike[row] = -1
        alike[self._tracks.ids == 0] = -1
        for row, column in greedy_pairs(alike[:, strong:], self.config.least_alike):
            row_of[strong + column] = row
        return row_of

    def _similarity(self, boxes: Floats, keypoints: Floats, pts_s: float) -> Floats:
        """(P, N) mean of OKS and IoU of each track, where it should be by now, with each detection."""
        tracks, config = self._tracks, self.config
        passed_s = pts_s - tracks.seen_s
        moved = tracks.velocity * (config.coast_s * -np.expm1(-passed_s / config.coast_s))[:, None]
        expected = tracks.keypoints.copy()
        expected[..., :2] += moved[:, None]
        size2 = np.maximum((area(tracks.boxes)[:, None] + area(boxes)[None]) / 2, 1.0)[..., None]
        spread = size2 * ((config.stray * passed_s) ** 2)[:, None, None]
        by_joints = oks(expected, keypoints, size2 * self._k2, spread)
        return (by_joints + iou(tracks.boxes + np.tile(moved, 2), boxes)) / 2

    def _move(self, rows: NDArray[np.int64], boxes: Floats, keypoints: Floats, pts_s: float) -> None:
        """Tracks `rows` were seen at these places."""
        tracks = self._tracks
        passed_s = pts_s - tracks.seen_s[rows]
        weights = np.minimum(tracks.keypoints[rows, :, 2], keypoints[..., 2])[..., None]
        steps = keypoints[..., :2] - tracks.keypoints[rows, :, :2]
        step = (steps * weights).sum(1) / np.maximum(weights.sum(1), 1e-9)
        # An average over velocity_s, or over as long as the track is there: the first velocity counts in full.
        passed, age = (-np.expm1(-t / self.config.velocity_s) for t in (passed_s, pts_s - tracks.began_s[rows]))
        share = (passed / np.maximum(age, 1e-9))[:, None]
        measured = step / np.maximum(passed_s, 1e-9)[:, None]
        tracks.velocity[rows] += share * (measured - tracks.velocity[rows])
        tracks.keypoints[rows], tracks.boxes[rows], tracks.seen_s[rows] = keypoints, boxes, pts_s
        for row in np.sort(rows[tracks.ids[rows] == 0]).tolist():
            tracks.ids[row] = self._new_id()

    def _begin(
        self, boxes: Floats, scores: Floats, keypoints: Floats, row_of: NDArray[np.int64], pts_s: float
    ) -> NDArray[np.int64]:
        """Begin tracks with detections that have none; returns which ones, in the order of their rows."""
        config, tracks = self.config, self._tracks
        new: list[int] = []
        free = np.flatnonzero((row_of < 0) & (scores >= config.begin_score))
        room = config.most - len(self)
        if not free.size or room <= 0:
            return np.zeros(0, np.int64)
        taken = [int(i) for i in np.flatnonzero(row_of >= 0)]
        size2 = np.maximum(area(boxes), 1.0)
        for i in free.tolist():
            if len(new) == room:
                break
            if taken:
                variance = (size2[taken, None, None] + size2[i]) / 2 * self._k2
                alike = oks(keypoints[taken], keypoints[i : i + 1], variance) + iou(boxes[taken], boxes[i : i + 1])
                if alike.max() / 2 >= config.same_alike:
                    continue
            new.append(i)
            taken.append(i)
        ids = [self._new_id() if scores[i] >= config.sure_score else 0 for i in new]
        begun = np.array(new, np.int64)
        tracks.ids = np.concatenate([tracks.ids, np.array(ids, np.int64)])
        tracks.keypoints = np.concatenate([tracks.keypoints, keypoints[begun]])
        tracks.boxes = np.concatenate([tracks.boxes, boxes[begun]])
        tracks.velocity = np.concatenate([tracks.velocity, np.zeros((len(new), 2))])
        tracks.began_s = np.concatenate([tracks.began_s, np.full(len(new), pts_s)])
        tracks.seen_s = np.concatenate([tracks.seen_s, np.full(len(new), pts_s)])
        return begun

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1
