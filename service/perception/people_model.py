"""A people bundle, loaded: what finds people, and what must be known of it."""

from __future__ import annotations

from dataclasses import dataclass

from inkling.models.bundle import PeopleBundle
from inkling.models.bundle.people import PeopleSpec
from inkling.models.errors import BundleInvalid, SkeletonError
from inkling.models.people.estimator import PeopleEstimator
from inkling.models.people.input_fit import InputSize
from inkling.models.people.tracker import TrackerConfig
from inkling.models.skeletons import get
from inkling.service.engine.onnx_engine import Device
from inkling.service.engine.people_engine import PeopleEngine
from inkling.service.perception.perception_options import PerceptionOptions

_USUAL = (480, 640), (720, 1280), (1280, 720)
"""Height and width of pictures for which everything is set up before the first one comes."""


CROWD = 4
"""People who are tracked, in multiples of those who are watched. Of a crowd the surest are others in each picture: with
200 people in view, 8 of the 16 who are watched are the same in the next picture where no more are tracked, 14 where 64
are."""
MOST_FOUND = 128
"""People of one picture at whom a tracker looks."""


@dataclass(frozen=True, slots=True)
class PeopleModel:
    """spec: of the bundle, with what the settings say instead.

    estimator: finds people in pictures; its `estimate` is for one thread at a time.
    """

    spec: PeopleSpec
    estimator: PeopleEstimator

    @property
    def name(self) -> str:
        return self.spec.full_name

    def size(self, options: PerceptionOptions) -> InputSize:
        """Of the estimator's input."""
        return input_size(self.spec, options)

    def tracker(self, options: PerceptionOptions, lost_s: float) -> TrackerConfig:
        """lost_s: seconds for which somebody may be lost and still be who they were."""
        thresholds = self.spec.thresholds
        begin = thresholds.begin if options.begin_score is None else options.begin_score
        keep = thresholds.keep if options.keep_score is None else options.keep_score
        return TrackerConfig.of(self.spec.skeleton.name, begin, keep, lost_s)

    def most(self, options: PerceptionOptions) -> int:
        """People at once."""
        return min(self.spec.max_people, options.max_people or self.spec.max_people)


def people_model(
    bundle: PeopleBundle,
    options: PerceptionOptions,
    threads: int | None = None,
    device: Device = "cpu",
    max_batch: int = 8,
) -> PeopleModel:
    """Build what runs the bundle, verify its stored vector and warm up. Blocks.

    options: the server's; those of a stream can ask for fewer people and higher scores. Raises BundleError.
    """
    spec = bundle.spec
    try:
        known = get(spec.skeleton.name)
    except SkeletonError as error:
        raise BundleInvalid(bundle.path, f"the people that it finds cannot be tracked: {error}") from error
    if known.joints != spec.skeleton.joints:
        raise BundleInvalid(bundle.path, f"its skeleton is called {known.name!r} and has other joints than that")
    engine = PeopleEngine(bundle, threads, device, max_batch)
    size = input_size(spec, options)
    engine.warm({size.of_picture(*usual) for usual in _USUAL})
    spec = _configured(spec, options)
    return PeopleModel(spec, PeopleEstimator(spec, engine, min(CROWD * spec.max_people, MOST_FOUND)))


def input_size(spec: PeopleSpec, options: PerceptionOptions) -> InputSize:
    """Of the estimator's input."""
    given = spec.input
    size = InputSize(given.height, given.width, given.multiple_of, given.fixed)
    return size if options.longer_side is None else size.scaled(options.longer_side)


def _configured(spec: PeopleSpec, options: PerceptionOptions) -> PeopleSpec:
    thresholds = spec.thresholds
    begin = thresholds.begin if options.begin_score is None else options.begin_score
    keep = thresholds.keep if options.keep_score is None else options.keep_score
    changed = thresholds.model_copy(update={"begin": begin, "keep": min(keep, begin)})
    return spec.model_copy(update={"thresholds": changed, "max_people": options.max_people or spec.max_people})
