"""Measure a model on the test clips of its recipe: how early it is right, also under what pose estimators do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pydantic import Field, ValidationError

from inkling.models.bundle import load, verify_graph
from inkling.models.bundle.schema import SPEC_FILE, Calibration, FrameInput, PoseInput, StoppingRule, Unknown
from inkling.models.calibration import temperatures
from inkling.training.calibrate.stopping_rule import Watched, measured
from inkling.training.calibrate.validation import background_of, watched
from inkling.training.data.corpus import Corpus, Example, load_corpus
from inkling.training.errors import ConfigError
from inkling.training.evaluate.by_step import step_scores
from inkling.training.evaluate.clip_reports import worst_clips
from inkling.training.evaluate.compared import Answering, compared_with, foreseen
from inkling.training.evaluate.corruptions import conditions, corrupted
from inkling.training.evaluate.onnx_graph import OnnxGraph, bundle_predictor
from inkling.training.evaluate.reliability import reliability
from inkling.training.evaluate.set_report import (
    CalibrationScores,
    Condition,
    ForesightScores,
    PromiseScores,
    ReportPart,
    Scores,
    SetReport,
    StepScores,
)
from inkling.training.evaluate.unknown import UnknownMeasure
from inkling.training.recipe.recipe import Recipe, read_recipe
from inkling.training.recogniser import kept_recogniser
from inkling.training.run import Run
from inkling.training.scores import (
    RATIOS,
    Floats,
    Ints,
    Predict,
    accuracy,
    brier_score,
    calibration_error,
    confusion,
    ratio_steps,
    step_logits,
    surprise,
    targets_of,
)


class Training(ReportPart):
    """How the measured model came to be, as far as is known.

    data: a sentence about each data set. validation_auc: in [0, 1]. folds: parts that it was validated in, 0: a share
    of the clips was kept out.
    """

    data: tuple[str, ...]
    seed: int
    train_clips: int | None = None
    validation_clips: int | None = None
    validation_auc: float | None = None
    teacher_auc: float | None = None
    folds: int = 0
    created: str
    git_commit: str
    libraries: dict[str, str]


class Evaluation(ReportPart):
    """Everything measured; `evaluation.json`."""

    model: str
    recipe: str
    labels: tuple[str, ...]
    rate_hz: float
    calibration: Calibration
    stopping: StoppingRule | None = None
    unknown: Unknown | None = None
    ratios: tuple[float, ...] = RATIOS
    sets: dict[str, SetReport]
    steps: dict[str, StepScores] = Field(default_factory=dict)
    """Of the sets that have clips labelled by step."""
    lead_s: float | None = None
    """Of a model that says what comes: for how many seconds ahead; what is right is what is labelled then."""
    foresight: dict[str, ForesightScores] = Field(default_factory=dict)
    """Of such a model, on the sets that have recordings whose labels change."""
    measured_only: tuple[str, ...] = ()
    """Of the sets, those on which no promise was certified."""
    training: Training | None = None


def read_evaluation(path: Path) -> Evaluation | None:
    """An `evaluation.json`, None where there is none. Raises ConfigError when it is of another release."""
    try:
        return Evaluation.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ConfigError(f"{path} is of another release: run inkling train evaluate again") from error


def measure(
    model: str,
    recipe: Recipe,
    predict: Predict,
    corpus: Corpus,
    calibration: Calibration,
    stopping: StoppingRule | None = None,
    training: Training | None = None,
    unknown: Unknown | None = None,
    recogniser: Answering | None = None,
) -> Evaluation:
    """Measure a predictor on all test sets of a corpus. unknown: of a model that says what it does not know.

    recogniser: what one that says what comes is compared with. Raises ConfigError when there are no test clips.
    """
    tests = corpus.tests()
    if not tests:
        raise ConfigError(
            f"recipe {recipe.name}: no data set has clips of the split 'test' "
            "(inkling train prepare videos and prepare poses keep some for it)"
        )
    rule, background = recipe.bundle.decision, background_of(recipe, corpus.labels)
    known = None
    if unknown is not None:
        known = UnknownMeasure(unknown, corpus.labels, calibration, recipe.rate_hz, rule, background)
    sets = {
        name: _measure_set(recipe, predict, corpus, name, examples, calibration, stopping, known)
        for name, examples in tests.items()
    }
    score = None if known is None else known.score
    steps = {
        name: step_scores(
            step_logits(predict, examples), examples, corpus.labels, calibration, recipe.rate_hz, rule, background,
            recipe.ahead, score,
        )
        for name, examples in corpus.watched().items()
    }  # fmt: skip
    return Evaluation(
        model=model,
        recipe=recipe.name,
        labels=corpus.labels,
        rate_hz=recipe.rate_hz,
        calibration=calibration,
        stopping=stopping,
        unknown=unknown,
        sets=sets,
        steps=steps,
        lead_s=recipe.whole_lead_s,
        foresight=foreseen(recipe, corpus, Answering(predict, calibration), recogniser),
        measured_only=tuple(source.name for source in recipe.datasets if source.name in sets and not source.promises),
        training=training,
    )


def _measure_set(
    recipe: Recipe,
    predict: Predict,
    corpus: Corpus,
    name: str,
    examples: list[Example],
    calibration: Calibration,
    stopping: StoppingRule | None,
    known: UnknownMeasure | None,
) -> SetReport:
    own = corpus.own_labels[name]
    at, targets, labels = ratio_steps(examples), targets_of(examples), corpus.labels
    skeleton = corpus.input.skeleton if isinstance(corpus.input, PoseInput) else None
    clean: list[Floats] = []
    logits: dict[str, Floats] = {}
    promises: dict[str, tuple[PromiseScores, ...]] = {}
    for condition, corruption in conditions(examples, skeleton).items():
        seen = corrupted(examples, corruption)
        steps = step_logits(predict, seen)
        clean = clean or steps  # the first condition
        logits[condition] = np.stack([clip[rows] for clip, rows in zip(steps, at, strict=True)])
        if stopping is not None:
            clips = watched(steps, seen, calibration, recipe.rate_hz, None if known is None else known.score)
            promises[condition] = _promises(clips, stopping, background_of(recipe, labels), recipe.rate_hz)
    unknown = {}
    if known is not None:
        left_out = [clip for clip in corpus.left_out if clip.source == name]
        unknown = known.of(examples, clean, step_logits(predict, left_out) if left_out else [])
    at_ratios, temperature = logits["clean"], temperatures(calibration, at / recipe.rate_hz)
    return SetReport(
        clips=len(examples),
        own_labels=tuple(labels[i] for i in own),
        conditions={
            name: Condition(joint=Scores.of(accuracy(scores, targets)), own=Scores.of(accuracy(scores, targets, own)))
            for name, scores in logits.items()
        },
        raw=_calibration(at_ratios, targets, np.ones_like(temperature)),
        calibrated=_calibration(at_ratios, targets, temperature),
        promises=promises,
        unknown=unknown,
        confusion=tuple(tuple(row) for row in confusion(at_ratios, targets).tolist()),
        by_label={
            labels[i]: Scores.of(accuracy(at_ratios[targets == i], targets[targets == i])).accuracy
            for i in own
            if (targets == i).any()
        },
        reliability={
            "before": reliability(at_ratios, targets),
            "after": reliability(at_ratios, targets, temperature),
        },
        worst=worst_clips(clean, at, examples, calibration, labels, recipe.rate_hz),
    )


def evaluate_run(
    run: Run, data: Path | str | None = None, seed: int | None = None, recogniser: Path | str | None = None
) -> Evaluation:
    """Measure a run's student, by default that of the seed with the best validation AUC. Raises TrainingError.

    data: where data set paths start, by default where they did for the fit. recogniser: the run that an anticipating
    one is compared with, by default the one it learned from.
    """
    result = run.chosen(seed)
    corpus = load_corpus(_measured(run.recipe), run.data_root(data))
    _same_labels(result.labels, corpus)
    training = Training(
        data=(*result.origins, *result.pretrained_on),
        seed=result.seed,
        train_clips=result.train_clips,
        validation_clips=result.val_clips,
        validation_auc=round(result.student_auc, 5),
        teacher_auc=None if result.teacher_auc is None else round(result.teacher_auc, 5),
        folds=run.recipe.validation.folds,
        created=result.created,
        git_commit=result.git_commit,
        libraries=result.libraries,
    )
    name = f"{run.recipe.name}, seed {result.seed}"
    other = Run.open(recogniser) if recogniser is not None else kept_recogniser(run)
    compared = compared_with(other, run.recipe, corpus)
    student, fitted = run.student(result), (result.calibration, result.stopping)
    return measure(name, run.recipe, student, corpus, *fitted, training, result.unknown, compared)


def evaluate_bundle(
    directory: Path | str,
    recipe: Recipe | None = None,
    data: Path | str = ".",
    recogniser: Path | str | None = None,
) -> Evaluation:
    """Measure a bundle on the test clips of a recipe, by default of the shipped recipe that it names.

    recogniser: as for a run. The clips may have only some of the bundle's labels; any of them may be answered. Raises
    TrainingError, or BundleError when the bundle is broken.
    """
    bundle = load(Path(directory))
    spec = bundle.spec
    recipe = recipe or read_recipe(spec.provenance.recipe)
    corpus = load_corpus(_measured(recipe), data)
    if set(corpus.labels) < set(spec.labels) and recipe.frames is None:
        corpus = load_corpus(_measured(recipe), data, spec.labels)  # on some of the sets that it learned from
    _same_labels(spec.labels, corpus)
    if not all(_fits(given, corpus) for given in spec.inputs) or recipe.rate_hz != spec.rate_hz:
        what = "skeleton" if isinstance(spec.input, PoseInput) else "size of frames"
        raise ConfigError(f"recipe {recipe.name} has another {what} or rate than bundle {spec.name}")
    if recipe.whole_lead_s != spec.lead_s:
        raise ConfigError(
            f"recipe {recipe.name} looks {_seconds(recipe.whole_lead_s)}, {spec.name} {_seconds(spec.lead_s)}"
        )
    graph = OnnxGraph(bundle.step)
    verify_graph(bundle, graph)
    validation = spec.quality.get("validation", {})
    training = Training(
        validation_clips=validation.get("clips"),
        validation_auc=validation.get("auc"),
        folds=recipe.validation.folds,
        **spec.provenance.model_dump(include={"data", "seed", "created", "git_commit", "libraries"}),
    )
    name, predict = f"{spec.name} {spec.version}", bundle_predictor(bundle, graph)
    compared = compared_with(Run.open(recogniser) if recogniser is not None else None, recipe, corpus)
    fitted = spec.calibration, spec.stopping
    return measure(name, recipe, predict, corpus, *fitted, training, spec.unknown, compared)


def _seconds(lead_s: float | None) -> str:
    return "at the present" if lead_s is None else f"{lead_s:g} s ahead"


def _measured(recipe: Recipe) -> Recipe:
    """A recipe without what it learned first: that need not be there, as nothing is measured on it."""
    return recipe.model_copy(update={"pretraining": None})


def _fits(takes: PoseInput | FrameInput, corpus: Corpus) -> bool:
    """Whether the clips are what a bundle takes."""
    if isinstance(takes, PoseInput):
        return isinstance(corpus.input, PoseInput) and corpus.skeleton.joints == takes.skeleton.joints
    frame = corpus.frame or corpus.input
    if not isinstance(frame, FrameInput):
        return False
    seen = [e.pose if corpus.frame is None else e.further[frame.name] for e in corpus.examples]
    frames = all(tensor.dtype == torch.uint8 for tensor in seen)  # a whole bundle cannot take features
    return frames and (frame.shape, frame.fit) == (takes.shape, takes.fit)


def is_bundle(directory: Path | str) -> bool:
    """Whether a directory is a bundle rather than a run."""
    return (Path(directory) / SPEC_FILE).exists()


def _calibration(logits: Floats, targets: Ints, temperature: Floats) -> CalibrationScores:
    """logits (N, 10, K), temperature (N, 10)."""
    stages = [(logits[:, i : i + 1], targets, temperature[:, i : i + 1]) for i in range(len(RATIOS))]
    return CalibrationScores(
        error=round(calibration_error(logits, targets, temperature), 5),
        surprise=round(surprise(logits, targets, temperature), 5),
        brier=round(brier_score(logits, targets, temperature), 5),
        error_at=tuple(round(calibration_error(*stage), 5) for stage in stages),
        brier_at=tuple(round(brier_score(*stage), 5) for stage in stages),
    )


def _promises(
    clips: Sequence[Watched], rule: StoppingRule, background: int | None, rate_hz: float
) -> tuple[PromiseScores, ...]:
    scores = []
    for promise in rule.promises:
        if promise.threshold is None:
            scores.append(PromiseScores(error_rate=promise.error_rate, threshold=None))
            continue
        kept = measured(clips, promise.threshold, rule.min_steps, background, rate_hz)
        some = kept.committed > 0
        scores.append(
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
    return tuple(scores)


def _same_labels(labels: tuple[str, ...], corpus: Corpus) -> None:
    if labels != corpus.labels:
        different = sorted(set(labels) ^ set(corpus.labels))
        raise ConfigError(f"the data sets and the model differ in labels: {', '.join(different) or 'in their order'}")
