"""Made-up people who walk across a picture, what an estimator would find of them, and how well a tracker did.

The truth is known here, which it is not of any film at hand. Heights are in pixels, times in seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkling.models.people.detections import Detections

Floats = NDArray[np.float64]

# A standing body of height 1, coco17: x to its own left, y down from the top.
_BODY = np.array(
    [
        *([0, 0.06], [0.02, 0.04], [-0.02, 0.04], [0.04, 0.05], [-0.04, 0.05]),  # nose, errors, ears
        *([0.1, 0.18], [-0.1, 0.18], [0.13, 0.33], [-0.13, 0.33], [0.14, 0.47], [-0.14, 0.47]),  # arms
        *([0.07, 0.5], [-0.07, 0.5], [0.07, 0.72], [-0.07, 0.72], [0.07, 0.95], [-0.07, 0.95]),  # legs
    ]
)
_SWING = np.array([0, 0, 0, 0, 0, 0, 0, -0.05, 0.05, -0.1, 0.1, 0, 0, 0.07, -0.07, 0.15, -0.15])


@dataclass(frozen=True, slots=True)
class Walker:
    """Somebody who walks to and fro, or lies down and stays."""

    x: float
    """Of the feet at 0 s."""
    y: float
    speed: float
    """px/s; negative to the left."""
    height: float
    lies_from_s: float = np.inf

    def joints(self, at_s: float) -> Floats:
        """(17, 2) where the joints are."""
        walked_s = min(at_s, self.lies_from_s)
        body = _BODY - (0, 1)
        body[:, 0] += _SWING * np.sin(2 * np.pi * 0.9 * walked_s) * (self.speed != 0)
        turn = np.clip((at_s - self.lies_from_s) / 0.8, 0, 1) * np.pi / 2  # falls over in .8 s
        body = body @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        joints: Floats = body * self.height + (self.x + self.speed * walked_s, self.y)
        return joints

    def box(self, at_s: float) -> Floats:
        """(4,)"""
        joints = self.joints(at_s)
        margin = 0.06 * self.height
        return np.concatenate([joints.min(0) - margin, joints.max(0) + margin])


@dataclass(frozen=True, slots=True)
class Errors:
    """How badly people are seen."""

    noise: float = 0.02
    """Of joints and boxes, in heights."""
    missed: float = 0.05
    """Share of people who are not found in a frame."""
    made_up: float = 0.05
    """People found who are not there, a frame."""
    scores: tuple[float, float] = (0.25, 0.7)
    lying: tuple[float, float] = (0.08, 0.2)
    hidden_from: float = 0.7
    """Who is covered by a nearer person by more than this share is not found."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Frames with what is true and what was found in them."""

    pts_s: list[float]
    present: list[list[int]]
    """People in each frame: their numbers."""
    boxes: list[Floats]
    """(n, 4) their true boxes."""
    found: list[Detections]


def film(
    walkers: Sequence[Walker],
    pts_s: Sequence[float],
    rng: np.random.Generator,
    errors: Errors = Errors(),
) -> Scene:
    """What is found of the walkers at these times, in a picture of 640 x 480."""
    scene = Scene(list(pts_s), [], [], [])
    for at_s in pts_s:
        boxes = np.array([walker.box(at_s) for walker in walkers]).reshape(-1, 4)
        inside = (boxes[:, 2] > 0) & (boxes[:, 0] < 640)
        present = np.flatnonzero(inside).tolist()
        seen = [i for i in present if not _hidden(i, present, walkers, boxes, errors.hidden_from)]
        found = [_seen(walkers[i], at_s, rng, errors) for i in seen if rng.random() >= errors.missed] + [
            _made_up(rng) for _ in range(rng.poisson(errors.made_up))
        ]
        scene.present.append(present)
        scene.boxes.append(boxes[present])
        scene.found.append(_detections([found[i] for i in rng.permutation(len(found))]))
    return scene


def _hidden(who: int, present: list[int], walkers: Sequence[Walker], boxes: Floats, share: float) -> bool:
    own = boxes[who]
    for other in present:
        if walkers[other].y > walkers[who].y:
            size = np.minimum(own[2:], boxes[other, 2:]) - np.maximum(own[:2], boxes[other, :2])
            if np.maximum(size, 0).prod() > share * (own[2:] - own[:2]).prod():
                return True
    return False


def _seen(walker: Walker, at_s: float, rng: np.random.Generator, errors: Errors) -> tuple[Floats, float, Floats]:
    noise = errors.noise * walker.height
    joints = walker.joints(at_s) + rng.normal(0, noise, (17, 2))
    box = walker.box(at_s) + rng.normal(0, noise, 4)
    score = rng.uniform(*(errors.lying if at_s > walker.lies_from_s + 0.5 else errors.scores))
    return box, score, np.column_stack([joints, rng.uniform(0.2, 0.9, 17)])


def _made_up(rng: np.random.Generator) -> tuple[Floats, float, Floats]:
    height = rng.uniform(60, 200)
    walker = Walker(rng.uniform(0, 640), rng.uniform(200, 470), 0, height)
    return walker.box(0), rng.uniform(0.05, 0.2), np.column_stack([walker.joints(0), rng.uniform(0.05, 0.4, 17)])


def _detections(found: list[tuple[Floats, float, Floats]]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in found], np.float32),
        np.array([joints for _, _, joints in found], np.float32).reshape(-1, 17, 3),
    )


def crowd(people: int, rng: np.random.Generator) -> list[Walker]:
    """Walkers from both sides, each on a line of their own, whose ways cross about the middle of the picture."""
    walkers = []
    for i in range(people):
        height = rng.uniform(110, 190)
        speed = height * rng.uniform(0.5, 1.1)
        x = rng.uniform(-0.2, 0.6) * 640
        right = i % 2 == 0
        walkers.append(Walker(x if right else 640 - x, 240 + height, speed if right else -speed, height))
    return walkers


def best_iou(box: Floats, others: Floats) -> Floats:
    """(n,) IoU of a box with each of `others` (n, 4)."""
    size = np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0).prod(1)
    both = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1)
    overlap: Floats = size / (both - size)
    return overlap


def idf1(scene: Scene, tracks: list[list[int]], boxes: list[Floats], least: float = 0.5) -> float:
    """Share of boxes whose person is the right one (Ristani and others, ECCV 2016, https://arxiv.org/abs/1609.01775).

    tracks, boxes: of each frame, what the tracker said. Each person is given the track that fits best overall; a frame
    agrees where that track's box overlaps the person's by at least `least`. By trying every way: for few people.
    """
    together: Counter[tuple[int, int]] = Counter()
    for present, true, said, places in zip(scene.present, scene.boxes, tracks, boxes, strict=True):
        for person, box in zip(present, true, strict=True):
            for track, iou in zip(said, best_iou(box, places) if said else [], strict=True):
                together[person, track] += iou >= least
    people = sorted({person for present in scene.present for person in present})
    worth = {
        person: [(frames, track) for (who, track), frames in together.items() if who == person and frames]
        for person in people
    }
    agreed = _most_agreed(people, worth, frozenset())
    total = sum(map(len, scene.present)) + sum(map(len, tracks))
    return 2 * agreed / total if total else 1.0


def _most_agreed(people: list[int], worth: dict[int, list[tuple[int, int]]], taken: frozenset[int]) -> int:
    if not people:
        return 0
    first, rest = people[0], people[1:]
    best = _most_agreed(rest, worth, taken)
    for frames, track in worth[first]:
        if track not in taken:
            best = max(best, frames + _most_agreed(rest, worth, taken | {track}))
    return best
