"""Calibration, stopping rule and score of the unknown of a student, fitted on its answers to validation clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from inkling.models.bundle.schema import Calibration, StoppingRule, TimedTemperature, Unknown
from inkling.models.calibration import probabilities
from inkling.models.unknown import UnknownScore
from inkling.training.calibrate.stopping_rule import Watched, fit_rule
from inkling.training.calibrate.temperature import fit_calibration
from inkling.training.calibrate.unknown import fit_unknown, held_back_at
from inkling.training.data.corpus import Example, load_corpus
from inkling.training.data.folds import Fold, cross_folds, draw_fold, parted
from inkling.training.data.synthetic_idle import SYNTHETIC
from inkling.training.files import write_text
from inkling.training.recipe.recipe import Recipe
from inkling.training.run import RESULT_FILE, Run
from inkling.training.scores import Floats, Predict, accuracy, auc, ratio_steps, step_logits, targets_of


@dataclass(frozen=True, slots=True)
class Answered:
    """Validation clips, and for each clip the logits (T, K) of a student that was not trained on it."""

    clips: tuple[Example, ...]
    steps: tuple[Floats, ...]

    @classmethod
    def by(cls, student: Predict, fold: Fold, others: Sequence[tuple[Predict, Fold]] = ()) -> Self:
        """The answers of a student to its validation clips, and of the students of `cross_folds` to theirs."""
        clips: list[Example] = []
        steps: list[Floats] = []
        for predict, part in ((student, fold), *others):
            if part.val:
                clips += part.val
                steps += step_logits(predict, part.val)
        return cls(tuple(clips), tuple(steps))

    def part(self, clips: Sequence[Example]) -> Self:
        """Of some of the clips only."""
        found = {id(clip): steps for clip, steps in zip(self.clips, self.steps, strict=True)}
        return type(self)(tuple(clips), tuple(found[id(clip)] for clip in clips))

    @property
    def at_ratios(self) -> Floats:
        """(N, 10, K) logits at the ten observation ratios."""
        return np.stack([clip[rows] for clip, rows in zip(self.steps, ratio_steps(self.clips), strict=True)])

    @property
    def auc(self) -> float:
        return auc(accuracy(self.at_ratios, targets_of(self.clips)))


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a bundle does with the answers of its student. unknown: None where it does not say what it does not know."""

    calibration: Calibration
    stopping: StoppingRule | None
    unknown: Unknown | None


def fit_promises(answered: Answered, recipe: Recipe, labels: Sequence[str], seed: int) -> Fitted:
    """Calibration and score of the unknown, fitted on one part of the validation clips, and the stopping rule, on the
    other part.

    Groups are not divided. Data sets that the recipe keeps from promises are calibrated on, but certify nothing. The
    rule is None where there are too few groups for two parts. Raises ConfigError where the recipe names a label that
    there is not.
    """
    stopping = recipe.stopping
    first, second = parted(answered.clips, stopping.share, seed)
    others = answered.part(first or answered.clips)
    elapsed_s = ratio_steps(others.clips) / recipe.rate_hz
    sources = [e.source for e in others.clips]
    calibration = fit_calibration(others.at_ratios, targets_of(others.clips), elapsed_s, sources)
    unknown = fit_unknown(others.steps, others.clips, calibration, recipe, labels)
    measured_only = {source.name for source in recipe.datasets if not source.promises}
    others, kept = (answered.part([e for e in part if e.source not in measured_only]) for part in (first, second))
    if not kept.clips or not others.clips:
        return Fitted(calibration, None, unknown)
    score = None if unknown is None else UnknownScore(unknown, labels, recipe.rate_hz)
    rule = fit_rule(
        watched(others.steps, others.clips, calibration, recipe.rate_hz, score),
        watched(kept.steps, kept.clips, calibration, recipe.rate_hz, score),
        stopping.error_rates,
        delta=stopping.delta,
        min_steps=stopping.min_steps,
        background=background_of(recipe, labels),
    )
    return Fitted(calibration, rule, unknown)


def recalibrate(run: Run, data: Path | str, report: Callable[[str], None]) -> None:
    """Fit calibration, stopping rule and score of the unknown of every finished seed again, as `fit` does.

    Raises TrainingError.
    """
    corpus = load_corpus(run.recipe, data)
    Run.begin(run.directory, run.recipe, corpus.digest())  # refuses other clips
    for seed, result in run.results().items():
        fold = draw_fold(corpus, run.recipe, seed)
        parts = enumerate(cross_folds(fold, run.recipe.validation.folds, seed))
        others = [(run.student(result, number), part) for number, part in parts]
        answered = Answered.by(run.student(result), fold, others)
        fitted = fit_promises(answered, run.recipe, corpus.labels, seed)
        result = result.model_copy(
            update={"calibration": fitted.calibration, "stopping": fitted.stopping, "unknown": fitted.unknown}
        )
        write_text(run.seed_directory(seed) / RESULT_FILE, result.model_dump_json(indent=2) + "\n")
        report(f"seed {seed}: {told(fitted)}")


def watched(
    steps: Sequence[Floats],
    examples: Sequence[Example],
    calibration: Calibration,
    rate_hz: float,
    score: UnknownScore | None = None,
) -> list[Watched]:
    """Clips with calibrated probabilities, from the logits (T, K) of their steps; steps that lead in are left out.

    score: of a model that says what it does not know.
    """
    found = []
    for clip, example in zip(steps, examples, strict=True):
        shares = probabilities(clip, calibration, np.arange(len(clip)) / rate_hz)
        source = "" if example.source == SYNTHETIC else example.source
        own = shares[example.lead :]
        held_back = None if score is None else held_back_at(score, score.over(shares), shares)[example.lead :]
        found.append(Watched(own, example.target, example.group, source, held_back))
    return found


def background_of(recipe: Recipe, labels: Sequence[str]) -> int | None:
    """Index of the label that means that nothing is happening."""
    return None if recipe.background_label is None else list(labels).index(recipe.background_label)


def told(fitted: Fitted) -> str:
    """What was fitted, in a line."""
    calibration, stopping, unknown = fitted.calibration, fitted.stopping, fitted.unknown
    if isinstance(calibration, TimedTemperature):
        temperature = f"temperature {calibration.first:.2f} to {calibration.later:.2f}"
    else:
        temperature = f"temperature {calibration.temperature:.2f}"
    kept = [] if stopping is None else [f"{p.error_rate:.0%}" for p in stopping.promises if p.threshold is not None]
    promises = "no promises" if stopping is None else f"promises {', '.join(kept) or 'nothing'}"
    above = "" if unknown is None else f", unknown above {unknown.threshold:g}"
    return f"{temperature}, {promises}{above}"
