"""A people bundle, loaded: what finds people, and what must be known of it."""

from __future__ import annotations

from dataclasses import dataclass

from inkling.models.bundle.people import PeopleSpec
from inkling.models.people.estimator import PeopleEstimator
from inkling.models.people.input_fit import InputSize
from inkling.models.people.tracker import TrackerConfig
from inkling.service.perception.look_options import LookOptions

SURE_SCORE = TrackerConfig().sure_score
"""Score from which somebody new is believed at first sight, unless a bundle believes nobody below a higher one."""


@dataclass(frozen=True, slots=True)
class PeopleModel:
    """spec: of the bundle. estimator: finds people in pictures; `estimate` is for one thread at a time."""

    spec: PeopleSpec
    estimator: PeopleEstimator

    @property
    def name(self) -> str:
        return self.spec.full_name

    def longer_side(self, options: LookOptions) -> int:
        """Of what is looked at, in pixels."""
        given = self.spec.input
        size = InputSize(given.height, given.width, given.multiple_of, given.fixed)
        if options.longer_side is not None:
            size = size.scaled(options.longer_side)
        return max(size.height, size.width)

    def tracker(self, options: LookOptions, lost_s: float) -> TrackerConfig:
        """lost_s: seconds for which somebody may be lost and still be who they were."""
        thresholds = self.spec.thresholds
        begin = thresholds.begin if options.begin_score is None else options.begin_score
        keep = thresholds.keep if options.keep_score is None else options.keep_score
        return TrackerConfig(
            skeleton=self.spec.skeleton.name,
            begin_score=begin,
            sure_score=max(SURE_SCORE, begin),
            keep_score=min(keep, begin),
            lost_s=lost_s,
        )

    def most(self, options: LookOptions) -> int:
        """People at once."""
        return min(self.spec.max_people, options.max_people or self.spec.max_people)
