"""Perception's thread: it looks for people in the pictures of all cameras, in batches, see `engine.batch_thread`."""

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
from inkling.service.perception.look import CameraPicture, Estimator, Look

log = logging.getLogger(__name__)


@dataclass(slots=True)
class LookOutcome:
    """What became of one batch. seen: with their people, or still; failed: of a run of the estimator that failed.

    queue_s: of each look of the batch. runs: pictures and seconds of each run of the estimator.
    """

    queue_s: list[float]
    seen: list[Look] = field(default_factory=list)
    failed: list[Look] = field(default_factory=list)
    runs: list[tuple[int, float]] = field(default_factory=list)


class Perceiver(BatchThread[LookOutcome]):
    """Runs the estimator. Of each camera one picture at a time, so that its tracker sees them in their order."""

    def __init__(
        self,
        name: str,
        estimator: Estimator,
        post: Callable[[LookOutcome], None],
        max_batch: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """name: of the people bundle. post: called on this thread once per batch; must return soon."""
        super().__init__(f"people-{name}", post, max_batch, clock)
        self._estimator = estimator
        self._failing = False

    def _step(self, steps: list[Step]) -> tuple[LookOutcome, list[bool] | None]:
        """Look at one batch. Never raises: what fails, fails its own pictures, and their cameras stay as they were."""
        taken_s = self._clock()
        looks = cast("list[Look]", steps)
        outcome = LookOutcome([taken_s - look.submitted_s for look in looks])
        alike: dict[tuple[int, ...], list[Look]] = {}
        for look in looks:
            picture: CameraPicture = look.x
            if look.camera.still(picture.grey, look.pts_s, look.epoch):
                look.still = True
                outcome.seen.append(look)
            else:
                alike.setdefault(picture.prepared.shape, []).append(look)
        for group in alike.values():
            self._look(group, outcome)
        for look in looks:
            look.x = None  # nobody needs the picture any more
        return outcome, [False] * len(steps)  # nothing is to be held for the next step

    def _look(self, looks: Sequence[Look], outcome: LookOutcome) -> None:
        """Run the estimator on pictures of one size, and have each camera's tracker say who is who."""
        began_s = self._clock()
        try:
            found = self._estimator.estimate([look.x.prepared for look in looks])
            if len(found) != len(looks):
                raise ValueError(f"the estimator answered {len(found)} of {len(looks)} pictures")
        except Exception as error:  # whatever the runtime raises
            if not self._failing:  # once, not at every batch of an estimator that stays broken
                log.exception("people could not be looked for in %d pictures: %s", len(looks), error)
            self._failing = True
            for look in looks:
                look.camera.not_looked()
            outcome.failed += looks
            return
        self._failing = False
        outcome.runs.append((len(looks), self._clock() - began_s))
        for look, people in zip(looks, found, strict=True):
            try:
                look.people = look.camera.track(in_camera_pixels(people, look.x.scale), look.pts_s)
            except Exception:  # a defect met by one camera must not end the thread
                log.exception("the people of one picture could not be tracked")
                look.camera.not_looked()
                outcome.failed.append(look)
            else:
                outcome.seen.append(look)


def in_camera_pixels(people: Detections, scale: tuple[float, float]) -> Detections:
    """The same people in a picture that is `scale` times as wide and high."""
    if scale == (1.0, 1.0):
        return people
    by = np.array(scale, np.float32)
    keypoints = people.keypoints.copy()
    keypoints[..., :2] *= by
    return Detections(people.boxes * np.tile(by, 2), people.scores, keypoints)
