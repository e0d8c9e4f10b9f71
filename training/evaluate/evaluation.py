"""Measure a model on the test clips of its recipe: how early it is right, also under what pose estimators do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from inkling.models.bundle import load, verify_graph
from inkling.models.bundle.schema import SPEC_FILE, Calibration, FrameInput, PoseInput, StoppingRule
from inkling.models.calibration import temperatures
from inkling.training.calibrate.stopping_rule import Watched, measured
from inkling.training.calibrate.validation import background_of, watched
from inkling.training.data.corpus import Corpus, load_corpus
from inkling.training.errors import ConfigError
from inkling.training.evaluate.corruptions import conditions, corrupted
from inkling.training.evaluate.onnx_graph import OnnxGraph, bundle_predictor
from inkling.training.recipe.recipe import Recipe, read_recipe
from inkling.training.run import Run
from inkling.training.scores import (
    RATIOS,
    Floats,
    Ints,
    Predict,
    accuracy,
    auc,
    brier_score,
    calibration_error,
    confusion,
    ratio_steps,
    step_logits,
    surprise,
    targets_of,
)


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scores(Part):
    """Accuracy at each of the ten observation ratios, and its mean; shares in [0, 1]."""

    accuracy: tuple[float, ...]
    auc: float

    @classmethod
    def of(cls, accuracies: Floats) -> Self:
        return cls(accuracy=tuple(round(float(a), 5) for a in accuracies), auc=round(auc(accuracies), 5))


class Condition(Part):
    """Scores where every label of the model may be answered, and where only those of the data set may."""

    joint: Scores
    own: Scores


class CalibrationScores(Part):
    """Expected calibration error, mean negative log-likelihood (nats) and Brier score, over clips and ratios.

    The error and the Brier score also at each of the ten ratios.
    """

    error: float
    surprise: float
    brier: float
    error_at: tuple[float, ...]
    brier_at: tuple[float, ...]


class PromiseScores(Part):
    """What became of a promise on test clips: of `committed` ones `wrong` were; None: nothing was promised.

    share: of the action that was needed, and seconds until then, on average over the committed ones. never: share of
    the clips that were never committed on.
    """

    error_rate: float
    threshold: float | None
    committed: int = 0
    wrong: int = 0
    error: float | None = None
    share: float | None = None
    seconds: float | None = None
    never: float | None = None


class SetReport(Part):
    """One data set's test clips."""

    clips: int
    own_labels: tuple[str, ...]
    conditions: dict[str, Condition]
    raw: CalibrationScores
    calibrated: CalibrationScores
    promises: dict[str, tuple[PromiseScores, ...]] = {}
    """By condition; of a model that has a stopping rule."""
    confusion: tuple[tuple[int, ...], ...]
    """At the whole clip, clean: rows true labels, columns answers, in the order of the model's labels."""


class Evaluation(Part):
    """Everything measured; `evaluation.json`."""

    model: str
    recipe: str
    labels: tuple[str, ...]
    rate_hz: float
    calibration: Calibration
    stopping: StoppingRule | None = None
    ratios: tuple[float, ...] = RATIOS
    sets: dict[str, SetReport]


def measure(
    model: str,
    recipe: Recipe,
    predict: Predict,
    corpus: Corpus,
    calibration: Calibration,
    stopping: StoppingRule | None = None,
) -> Evaluation:
    """Measure a predictor on all test sets of a corpus. Raises ConfigError when there are no test clips."""
    tests = corpus.tests()
    if not tests:
        raise ConfigError(f"recipe {recipe.name}: no data set has clips of the split 'test'")
    sets = {}
    for name, examples in tests.items():
        own, at, targets = corpus.own_labels[name], ratio_steps(examples), targets_of(examples)
        logits: dict[str, Floats] = {}
        promises: dict[str, tuple[PromiseScores, ...]] = {}
        for what, how in conditions(examples).items():
            seen = corrupted(examples, how)
            steps = step_logits(predict, seen)
            logits[what] = np.stack([clip[rows] for clip, rows in zip(steps, at, strict=True)])
            if stopping is not None:
                clips = watched(steps, seen, calibration, recipe.rate_hz)
                promises[what] = _promises(clips, stopping, background_of(recipe, corpus.labels), recipe.rate_hz)
        heat = temperatures(calibration, at / recipe.rate_hz)
        sets[name] = SetReport(
            clips=len(examples),
            own_labels=tuple(corpus.labels[i] for i in own),
            conditions={
                what: Condition(joint=Scores.of(accuracy(found, targets)), own=Scores.of(accuracy(found, targets, own)))
                for what, found in logits.items()
            },
            raw=_calibration(logits["clean"], targets, np.ones_like(heat)),
            calibrated=_calibration(logits["clean"], targets, heat),
            promises=promises,
            confusion=tuple(tuple(row) for row in confusion(logits["clean"], targets).tolist()),
        )
    return Evaluation(
        model=model,
        recipe=recipe.name,
        labels=corpus.labels,
        rate_hz=recipe.rate_hz,
        calibration=calibration,
        stopping=stopping,
        sets=sets,
    )


def evaluate_run(run: Run, data: Path | str = ".", seed: int | None = None) -> Evaluation:
    """Measure a run's student, by default that of the seed with the best validation AUC. Raises TrainingError."""
    result = run.chosen(seed)
    corpus = load_corpus(_measured(run.recipe), data)
    _same_labels(result.labels, corpus)
    name = f"{run.recipe.name}, seed {result.seed}"
    return measure(name, run.recipe, run.student(result), corpus, result.calibration, result.stopping)


def evaluate_bundle(directory: Path | str, recipe: Recipe | None = None, data: Path | str = ".") -> Evaluation:
    """Measure a bundle on the test clips of a recipe, by default of the shipped recipe that it names.

    Raises TrainingError, or BundleError when the bundle is broken.
    """
    bundle = load(Path(directory))
    spec = bundle.spec
    recipe = recipe or read_recipe(spec.provenance.recipe)
    corpus = load_corpus(_measured(recipe), data)
    _same_labels(spec.labels, corpus)
    if not _fits(spec.input, corpus) or recipe.rate_hz != spec.rate_hz:
        what = "skeleton" if isinstance(spec.input, PoseInput) else "size of frames"
        raise ConfigError(f"recipe {recipe.name} has another {what} or rate than bundle {spec.name}")
    graph = OnnxGraph(bundle.step)
    verify_graph(bundle, graph)
    name = f"{spec.name} {spec.version}"
    return measure(name, recipe, bundle_predictor(bundle, graph), corpus, spec.calibration, spec.stopping)


def _measured(recipe: Recipe) -> Recipe:
    """A recipe without what it learned first: that need not be there, as nothing is measured on it."""
    return recipe.model_copy(update={"pretraining": None})


def _fits(takes: PoseInput | FrameInput, corpus: Corpus) -> bool:
    """Whether the clips are what a bundle takes."""
    if isinstance(takes, PoseInput):
        return isinstance(corpus.input, PoseInput) and corpus.skeleton.joints == takes.skeleton.joints
    frames = all(e.pose.dtype == torch.uint8 for e in corpus.examples)  # a whole bundle cannot take features
    return (
        frames
        and isinstance(corpus.input, FrameInput)
        and (corpus.input.shape, corpus.input.fit)
        == (
            takes.shape,
            takes.fit,
        )
    )


def is_bundle(directory: Path | str) -> bool:
    """Whether a directory is a bundle rather than a run."""
    return (Path(directory) / SPEC_FILE).exists()


def _calibration(logits: Floats, targets: Ints, heat: Floats) -> CalibrationScores:
    """logits (N, 10, K), heat (N, 10)."""
    stages = [(logits[:, i : i + 1], targets, heat[:, i : i + 1]) for i in range(len(RATIOS))]
    return CalibrationScores(
        error=round(calibration_error(logits, targets, heat), 5),
        surprise=round(surprise(logits, targets, heat), 5),
        brier=round(brier_score(logits, targets, heat), 5),
        error_at=tuple(round(calibration_error(*stage), 5) for stage in stages),
        brier_at=tuple(round(brier_score(*stage), 5) for stage in stages),
    )


def _promises(
    clips: Sequence[Watched], rule: StoppingRule, background: int | None, rate_hz: float
) -> tuple[PromiseScores, ...]:
    found = []
    for promise in rule.promises:
        if promise.threshold is None:
            found.append(PromiseScores(error_rate=promise.error_rate, threshold=None))
            continue
        kept = measured(clips, promise.threshold, rule.min_steps, background, rate_hz)
        some = kept.committed > 0
        found.append(
            PromiseScores(
                error_rate=promise.error_rate,
                threshold=promise.threshold,
                committed=kept.committed,
                wrong=kept.wrong,
                error=round(kept.wrong / kept.committed, 5) if some else None,
                share=round(kept.share, 4) if some else None,
                seconds=round(kept.seconds, 3) if some else None,
                never=round(kept.never, 5),
            )
        )
    return tuple(found)


def _same_labels(labels: tuple[str, ...], corpus: Corpus) -> None:
    if labels != corpus.labels:
        different = sorted(set(labels) ^ set(corpus.labels))
        raise ConfigError(f"the data sets and the model differ in labels: {', '.join(different) or 'in their order'}")
