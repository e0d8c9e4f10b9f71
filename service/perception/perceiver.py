"""Perception's thread: it pictures for people in the pictures of all cameras, in batches, see `engine.batch_thread`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from inkling.models.people.detections import Detections
from inkling.service.engine.batch_thread import BatchThread
from inkling.service.engine.scheduler import Step
from inkling.service.perception.picture_step import CameraPicture, Estimator, PictureStep

log = logging.getLogger(__name__)


@dataclass(slots=True)
class PerceptionOutcome:
    """What became of one batch. seen: with their people, or still; failed: of a run of the estimator that failed.

    queue_s: of each picture of the batch. runs: pictures and seconds of each run of the estimator.
    """

    queue_s: list[float]
    seen: list[PictureStep] = field(default_factory=list)
    failed: list[PictureStep] = field(default_factory=list)
    runs: list[tuple[int, float]] = field(default_factory=list)


class Perceiver(BatchThread[PerceptionOutcome]):
    """Runs the estimator. Of each camera one picture at a time, so that its tracker sees them in their order."""

    def __init__(
        self,
        name: str,
        estimator: Estimator,
        post: Callable[[PerceptionOutcome], None],
        max_batch: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """name: of the people bundle. post: called on this thread once per batch; must return soon."""
        super().__init__(f"people-{name}", post, max_batch, clock)
        self._estimator = estimator
        self._failing = False

    def _step(self, steps: list[Step]) -> tuple[PerceptionOutcome, list[bool] | None]:
        """Perceive one batch. Never raises: what fails, fails its own pictures, and their cameras stay as they were."""
        taken_s = self._clock()
        pictures = cast("list[PictureStep]", steps)
        outcome = PerceptionOutcome([taken_s - picture.submitted_s for picture in pictures])
        alike: dict[tuple[int, ...], list[PictureStep]] = {}
        for picture in pictures:
            taken: CameraPicture = picture.x
            if picture.camera.still(taken.grey, picture.pts_s, picture.epoch):
                picture.still = True
                outcome.seen.append(picture)
            elif self._decode(picture, taken):
                alike.setdefault(picture.x.prepared.shape, []).append(picture)
            else:
                outcome.failed.append(picture)
        for group in alike.values():
            self._perceive(group, outcome)
        for picture in pictures:
            picture.x = None  # nobody needs the picture any more
        return outcome, [False] * len(steps)  # nothing is to be held for the next step

    @staticmethod
    def _decode(picture: PictureStep, taken: CameraPicture) -> bool:
        """Put the decoded picture in its place, which is made here if the gate was expected to pass over it. False: it
        cannot be decoded, though what the gate saw of it could."""
        try:
            picture.x = taken.decoded() if callable(taken.decoded) else taken.decoded
        except Exception:  # a picture that cannot be decoded must not end the thread
            log.exception("a picture could not be decoded that the motion gate had seen")
            picture.camera.not_perceived()
            return False
        return True

    def _perceive(self, pictures: Sequence[PictureStep], outcome: PerceptionOutcome) -> None:
        """Run the estimator on pictures of one size, and have each camera's tracker say who is who."""
        began_s = self._clock()
        try:
            found = self._estimator.estimate([picture.x.prepared for picture in pictures])
            if len(found) != len(pictures):
                raise ValueError(f"the estimator answered {len(found)} of {len(pictures)} pictures")
        except Exception as error:  # whatever the runtime raises
            if not self._failing:  # once, not at every batch of an estimator that stays broken
                log.exception("people could not be looked for in %d pictures: %s", len(pictures), error)
            self._failing = True
            for picture in pictures:
                picture.camera.not_perceived()
            outcome.failed += pictures
            return
        self._failing = False
        outcome.runs.append((len(pictures), self._clock() - began_s))
        for picture, people in zip(pictures, found, strict=True):
            try:
                seen = in_camera_pixels(people, picture.x.scale)
                picture.people, picture.changes = picture.camera.track(seen, picture.pts_s)
            except Exception:  # a defect met by one camera must not end the thread
                log.exception("the people of one picture could not be tracked")
                picture.camera.not_perceived()
                outcome.failed.append(picture)
            else:
                picture.fitted = picture.x.fitted
                outcome.seen.append(picture)


def in_camera_pixels(people: Detections, scale: tuple[float, float]) -> Detections:
    """The same people in a picture that is `scale` times as wide and high."""
    if scale == (1.0, 1.0):
        return people
    by = np.array(scale, np.float32)
    keypoints = people.keypoints.copy()
    keypoints[..., :2] *= by
    return Detections(people.boxes * np.tile(by, 2), people.scores, keypoints)
