"""A model that says what comes beside the recogniser that it is compared with, on the test recordings of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import Calibration
from inkling.models.calibration import probabilities
from inkling.training.calibrate.validation import background_of
from inkling.training.data.corpus import Corpus, Example
from inkling.training.errors import ConfigError
from inkling.training.evaluate.foresight import Foreseen, foresight
from inkling.training.evaluate.set_report import ForesightScores
from inkling.training.recipe.recipe import Recipe
from inkling.training.recogniser import check_recogniser
from inkling.training.run import Run
from inkling.training.scores import Predict, step_logits


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers to clips, and the calibration of its answers."""

    predict: Predict
    calibration: Calibration

    def shares(self, examples: Sequence[Example], rate_hz: float) -> list[NDArray[np.float64]]:
        """Calibrated probabilities (T, K) of the steps of each example."""
        answers = step_logits(self.predict, examples)
        return [probabilities(clip, self.calibration, np.arange(len(clip)) / rate_hz) for clip in answers]


def compared_with(other: Run | None, recipe: Recipe, corpus: Corpus) -> Answering | None:
    """What a recipe's models are compared with. Raises ConfigError where there is nothing to compare."""
    if other is None:
        return None
    if not recipe.ahead:
        raise ConfigError(f"recipe {recipe.name} recognises what is: it is not compared with a recogniser")
    check_recogniser(other, recipe, corpus.labels, corpus.inputs)
    result = other.chosen()
    return Answering(other.student(result), result.calibration)


def foreseen(
    recipe: Recipe, corpus: Corpus, model: Answering, recogniser: Answering | None
) -> dict[str, ForesightScores]:
    """What is measured of a model that says what comes, on each data set of test recordings whose labels change."""
    found = {}
    for name, clips in corpus.watched().items():
        examples = [example for example in clips if example.present is not None]
        if not recipe.ahead or not examples:
            continue
        answers = model.shares(examples, recipe.rate_hz)
        others = recogniser.shares(examples, recipe.rate_hz) if recogniser is not None else [None] * len(examples)
        recordings = [
            Foreseen(example.present.numpy(), shares, other)
            for example, shares, other in zip(examples, answers, others, strict=True)
            if example.present is not None
        ]
        found[name] = foresight(
            recordings, corpus.labels, recipe.ahead, recipe.rate_hz, recipe.bundle.decision,
            commonest=corpus.commonest_label(name), background=background_of(recipe, corpus.labels),
        )  # fmt: skip
    return found
