"""Measure a model on the test clips of its recipe: how early it is right, also under what pose estimators do."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict

from models.bundle import load, verify_graph
from models.bundle.schema import SPEC_FILE, FrameInput, PoseInput
from training.config import Recipe, read_recipe
from training.corpus import Corpus, load_corpus
from training.corrupt import conditions, corrupted
from training.errors import ConfigError
from training.metrics import (
    RATIOS,
    Floats,
    Predict,
    accuracy,
    auc,
    calibration_error,
    confusion,
    ratio_logits,
    surprise,
)
from training.onnx_graph import OnnxGraph, bundle_predictor
from training.run import Run


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


class Calibration(Part):
    """Expected calibration error and mean negative log-likelihood (nats), over clips and ratios."""

    error: float
    surprise: float


class SetReport(Part):
    """One data set's test clips."""

    clips: int
    own_labels: tuple[str, ...]
    conditions: dict[str, Condition]
    raw: Calibration
    calibrated: Calibration
    confusion: tuple[tuple[int, ...], ...]
    """At the whole clip, clean: rows true labels, columns answers, in the order of the model's labels."""


class Evaluation(Part):
    """Everything measured; `evaluation.json`."""

    model: str
    recipe: str
    labels: tuple[str, ...]
    rate_hz: float
    temperature: float
    ratios: tuple[float, ...] = RATIOS
    sets: dict[str, SetReport]


def measure(model: str, recipe: Recipe, predict: Predict, corpus: Corpus, temperature: float) -> Evaluation:
    """Measure a predictor on all test sets of a corpus. Raises ConfigError when there are no test clips."""
    tests = corpus.tests()
    if not tests:
        raise ConfigError(f"recipe {recipe.name}: no data set has clips of the split 'test'")
    sets = {}
    for name, examples in tests.items():
        own = corpus.own_labels[name]
        logits = {what: ratio_logits(predict, corrupted(examples, how)) for what, how in conditions(examples).items()}
        clean, targets = logits["clean"]
        sets[name] = SetReport(
            clips=len(examples),
            own_labels=tuple(corpus.labels[i] for i in own),
            conditions={
                what: Condition(joint=Scores.of(accuracy(found, targets)), own=Scores.of(accuracy(found, targets, own)))
                for what, (found, _) in logits.items()
            },
            raw=_calibration(clean, targets, 1.0),
            calibrated=_calibration(clean, targets, temperature),
            confusion=tuple(tuple(row) for row in confusion(clean, targets).tolist()),
        )
    return Evaluation(
        model=model,
        recipe=recipe.name,
        labels=corpus.labels,
        rate_hz=recipe.rate_hz,
        temperature=temperature,
        sets=sets,
    )


def evaluate_run(run: Run, data: Path | str = ".", seed: int | None = None) -> Evaluation:
    """Measure a run's student, by default that of the seed with the best validation AUC. Raises TrainingError."""
    result = run.chosen(seed)
    corpus = load_corpus(run.recipe, data)
    _same_labels(result.labels, corpus)
    name = f"{run.recipe.name}, seed {result.seed}"
    return measure(name, run.recipe, run.student(result), corpus, result.temperature)


def evaluate_bundle(directory: Path | str, recipe: Recipe | None = None, data: Path | str = ".") -> Evaluation:
    """Measure a bundle on the test clips of a recipe, by default of the shipped recipe that it names.

    Raises TrainingError, or BundleError when the bundle is broken.
    """
    bundle = load(Path(directory))
    spec = bundle.spec
    recipe = recipe or read_recipe(spec.provenance.recipe)
    corpus = load_corpus(recipe, data)
    _same_labels(spec.labels, corpus)
    if not _fits(spec.input, corpus) or recipe.rate_hz != spec.rate_hz:
        what = "skeleton" if isinstance(spec.input, PoseInput) else "size of frames"
        raise ConfigError(f"recipe {recipe.name} has another {what} or rate than bundle {spec.name}")
    graph = OnnxGraph(bundle.step)
    verify_graph(bundle, graph)
    name = f"{spec.name} {spec.version}"
    return measure(name, recipe, bundle_predictor(bundle, graph), corpus, spec.calibration.temperature)


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


def _calibration(
    logits: Floats, targets: np.ndarray[tuple[int, ...], np.dtype[np.int64]], temperature: float
) -> Calibration:
    return Calibration(
        error=round(calibration_error(logits, targets, temperature), 5),
        surprise=round(surprise(logits, targets, temperature), 5),
    )


def _same_labels(labels: tuple[str, ...], corpus: Corpus) -> None:
    if labels != corpus.labels:
        different = sorted(set(labels) ^ set(corpus.labels))
        raise ConfigError(f"the data sets and the model differ in labels: {', '.join(different) or 'in their order'}")
