"""What validation clips say of a student's answers: how sure to be of them, and when to commit to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from models.bundle.schema import Calibration, StoppingRule, TimedTemperature
from models.calibration import probabilities
from training.calibrate import fit_calibration
from training.config import Recipe
from training.corpus import Example, load_corpus
from training.folds import draw_fold, parted
from training.metrics import Floats, Predict, ratio_steps, step_logits, targets_of
from training.run import RESULT_FILE, Run, write_text
from training.stopping import Watched, fit_rule


def fit_promises(
    predict: Predict, val: Sequence[Example], recipe: Recipe, labels: Sequence[str], seed: int
) -> tuple[Calibration, StoppingRule | None]:
    """The calibration on one part of the validation clips, the stopping rule on the rest, whole groups in either.

    None: there are too few groups for a part of its own.
    """
    wish = recipe.stopping
    others, kept = parted(val, wish.share, seed)
    if not others:
        others, kept = list(val), []
    steps = step_logits(predict, others)
    at = ratio_steps(others)
    logits = np.stack([clip[rows] for clip, rows in zip(steps, at, strict=True)])
    calibration = fit_calibration(logits, targets_of(others), at / recipe.rate_hz, [e.source for e in others])
    if not kept:
        return calibration, None
    rule = fit_rule(
        watched(steps, others, calibration, recipe.rate_hz),
        watched(step_logits(predict, kept), kept, calibration, recipe.rate_hz),
        wish.error_rates,
        delta=wish.delta,
        min_steps=wish.min_steps,
        background=background_of(recipe, labels),
    )
    return calibration, rule


def recalibrate(run: Run, data: Path | str, report: Callable[[str], None]) -> None:
    """Fit calibration and rule of every finished seed again, as `fit` would have. Raises TrainingError."""
    corpus = load_corpus(run.recipe, data)
    Run.begin(run.directory, run.recipe, corpus.digest())  # refuses other clips
    for seed, result in run.results().items():
        fold = draw_fold(corpus, run.recipe, seed)
        calibration, stopping = fit_promises(run.student(result), fold.val, run.recipe, corpus.labels, seed)
        result = result.model_copy(update={"calibration": calibration, "stopping": stopping})
        write_text(run.seed_directory(seed) / RESULT_FILE, result.model_dump_json(indent=2) + "\n")
        report(f"seed {seed}: {told(calibration, stopping)}")


def watched(
    steps: Sequence[Floats], examples: Sequence[Example], calibration: Calibration, rate_hz: float
) -> list[Watched]:
    """Calibrated probabilities of whole clips, from logits (T, K) of their steps; without what leads them in."""
    found = []
    for clip, example in zip(steps, examples, strict=True):
        shares = probabilities(clip, calibration, np.arange(len(clip)) / rate_hz)
        found.append(Watched(shares[example.lead :], example.target, example.group))
    return found


def background_of(recipe: Recipe, labels: Sequence[str]) -> int | None:
    """Index of the label that means that nothing is happening."""
    return None if recipe.background_label is None else list(labels).index(recipe.background_label)


def told(calibration: Calibration, stopping: StoppingRule | None) -> str:
    """Both, in a line."""
    if isinstance(calibration, TimedTemperature):
        heat = f"temperature {calibration.first:.2f} to {calibration.later:.2f}"
    else:
        heat = f"temperature {calibration.temperature:.2f}"
    if stopping is None:
        return f"{heat}, no promises"
    kept = [f"{promise.error_rate:.0%}" for promise in stopping.promises if promise.threshold is not None]
    return f"{heat}, promises {', '.join(kept) or 'nothing'}"
