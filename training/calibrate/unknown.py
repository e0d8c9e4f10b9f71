"""From which score on what is seen counts as none of the labels: set by the events that are lost to it.

A high score only means something beside the events that it holds back: while the score is high, few labels are probable
enough for an event anyway. So the price is stated in events. Of the validation clips on which an event of their own
action begins, a small share may lose it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from inkling.models.bundle.schema import Calibration, DecisionRule, Unknown
from inkling.models.calibration import probabilities
from inkling.models.unknown import UnknownScore
from inkling.training.calibrate.stopping_rule import Watched, commit
from inkling.training.data.corpus import Example
from inkling.training.data.synthetic_idle import SYNTHETIC
from inkling.training.errors import ConfigError
from inkling.training.recipe.recipe import Recipe
from inkling.training.recipe.sections import UnknownActions
from inkling.training.scores import Floats

OTHER = "other"
"""The label that means 'none of the others' without a recipe saying so."""
THRESHOLDS = tuple(round(k / 100, 2) for k in range(99, 0, -1))
"""Those that are tried, from the one that holds back least."""


def unknown_wish(recipe: Recipe, labels: Sequence[str]) -> UnknownActions | None:
    """How a bundle with these labels says that it does not know, its `labels` filled in; None: it does not.

    Raises ConfigError for a label that there is not.
    """
    wish = recipe.unknown
    if wish is None and OTHER not in labels:
        return None
    wish = wish or UnknownActions()
    if wish.labels is None:
        wish = wish.model_copy(update={"labels": tuple(label for label in labels if label == OTHER)})
    for label in (*(wish.labels or ()), *wish.urgent):
        if label not in labels or label == recipe.background_label:
            raise ConfigError(f"recipe {recipe.name}: section unknown names {label!r}, which is no action of its clips")
    return wish


def fit_unknown(
    steps: Sequence[Floats], clips: Sequence[Example], calibration: Calibration, recipe: Recipe, labels: Sequence[str]
) -> Unknown | None:
    """The score with its threshold, from the logits (T, K) of validation clips; None where the recipe wants none.

    It is the lowest threshold at which no data set loses more than `lost` of its events, rounded up to a whole one.
    Events of urgent labels cannot be lost and do not count. Raises ConfigError as `unknown_wish` does.
    """
    wish = unknown_wish(recipe, labels)
    if wish is None:
        return None
    named = tuple(wish.labels or ())
    unknown = Unknown(labels=named, average_s=wish.average_s, threshold=1.0, urgent=wish.urgent, lost=0.0, events=0)
    free = {labels.index(label) for label in (*named, *wish.urgent)}
    background = None if recipe.background_label is None else list(labels).index(recipe.background_label)
    score, rule = UnknownScore(unknown, labels, recipe.rate_hz), recipe.bundle.decision
    found: list[tuple[Watched, Floats]] = []
    for logits, clip in zip(steps, clips, strict=True):
        if clip.target in free or clip.source == SYNTHETIC:
            continue
        shares = probabilities(logits, calibration, np.arange(len(logits)) / recipe.rate_hz)
        watched = Watched(shares[clip.lead :], clip.target, clip.group, clip.source)
        if _begins(watched, rule, background):
            found.append((watched, score.over(shares)[clip.lead :]))
    if not found:
        return unknown
    events = Counter(watched.source for watched, _ in found)
    threshold, lost = 1.0, 0
    for tried in THRESHOLDS:
        score = UnknownScore(unknown.model_copy(update={"threshold": tried}), labels, recipe.rate_hz)
        losses = Counter(w.source for w, scores in found if not _begins(_held(w, scores, score), rule, background))
        if any(losses[source] > np.ceil(wish.lost * count) for source, count in events.items()):
            break
        threshold, lost = tried, losses.total()
    share = round(lost / len(found), 4)
    return unknown.model_copy(update={"threshold": threshold, "lost": share, "events": len(found)})


def held_back_at(score: UnknownScore, scores: Floats, shares: Floats) -> list[bool]:
    """At each step whether it is held back, from the scores (T,) and the probabilities (T, K) there."""
    best = shares.argmax(1).tolist()
    return [score.holds_back(value, label) for value, label in zip(scores.tolist(), best, strict=True)]


def _begins(watched: Watched, rule: DecisionRule, background: int | None) -> bool:
    """Whether the first event of a clip is one of its own action: it begins as a commitment is made."""
    return commit(watched, rule.on, rule.min_steps, background).right


def _held(watched: Watched, scores: Floats, score: UnknownScore) -> Watched:
    held_back = held_back_at(score, scores, watched.probabilities)
    return Watched(watched.probabilities, watched.target, watched.group, watched.source, held_back)
