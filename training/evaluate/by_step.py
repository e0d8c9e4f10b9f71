"""How good a model is at every step of clips that are labelled by step: what it answers, and the events that it begins.

An event begins and ends as the service's would, by the recipe's decision rule on calibrated probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import Calibration, DecisionRule
from inkling.models.calibration import probabilities
from inkling.models.unknown import UnknownScore
from inkling.training import markdown
from inkling.training.calibrate.unknown import held_back_at
from inkling.training.data.corpus import Example
from inkling.training.evaluate.set_report import LabelSteps, StepScores
from inkling.training.labels import anything_but
from inkling.training.scores import Floats, Ints

Clip = tuple[NDArray[np.float64], Ints, Sequence[bool]]
"""Calibrated probabilities (T, K), targets (T,), and whether events are held back, at each of T steps."""


def step_scores(
    steps: Sequence[Floats],
    examples: Sequence[Example],
    labels: Sequence[str],
    calibration: Calibration,
    rate_hz: float,
    rule: DecisionRule,
    background: int | None,
    ahead: int = 0,
    score: UnknownScore | None = None,
) -> StepScores:
    """What became of every step of `examples`, from the logits (T, K) of their steps. background: it has no events.

    ahead: how many steps later what is said of a step is under way. score: of a model that says what it does not know.
    """
    clips: list[Clip] = []
    for logits, example in zip(steps, examples, strict=True):
        shares = probabilities(logits, calibration, np.arange(len(logits)) / rate_hz)
        targets = example.step_targets.numpy() if example.step_targets is not None else None
        targets = np.full(len(logits), example.target) if targets is None else targets
        held_back = [False] * len(logits) if score is None else held_back_at(score, score.over(shares), shares)
        clips.append((shares, targets, held_back))
    truth = np.concatenate([targets for _, targets, _ in clips])
    answers = np.concatenate([shares.argmax(1) for shares, _, _ in clips])
    known = truth >= 0
    named = sorted({int(t if t >= 0 else anything_but(t)) for t in np.unique(truth).tolist() if t != -1})
    return StepScores(
        clips=len(clips),
        steps=int(known.sum()),
        accuracy=_share(answers[known] == truth[known]),
        labels={
            labels[k]: _label_steps(clips, k, rate_hz, rule, _share(answers[truth == k] == k), ahead)
            for k in named
            if k != background
        },
    )


def events(
    probability: NDArray[np.float64], rule: DecisionRule, held_back: Sequence[bool] | None = None
) -> list[tuple[int, int]]:
    """(first step, step after the last) of each event of a label, from its probability (T,) at each step.

    held_back: at each step whether none begins; None: never.
    """
    found: list[tuple[int, int]] = []
    begun, run = None, 0
    for step, share in enumerate(probability.tolist()):
        if begun is None:
            run = run + 1 if share >= rule.on and not (held_back and held_back[step]) else 0
            if run == rule.min_steps:
                begun = step
        elif share < rule.off:
            found.append((begun, step))
            begun, run = None, 0
    return found if begun is None else [*found, (begun, len(probability))]


def steps_table(by_set: Mapping[str, StepScores]) -> str:
    """A row for each label of each data set that is labelled by step; empty where there is none."""
    rows = [
        (
            name,
            label,
            "-" if found.accuracy is None else f"{100 * found.accuracy:.1f}",
            f"{found.met} of {found.spans}",
            "-" if found.left_s is None else f"{found.left_s:.2f} s",
            f"{found.false} in {found.quiet_minutes:.1f} min",
        )
        for name, scores in by_set.items()
        for label, found in scores.labels.items()
    ]
    if not rows:
        return ""
    head = ("data set", "label", "steps right", "spans with an event", "left then", "events at other times")
    return markdown.table(head, rows) + "\n"


def _label_steps(
    clips: Sequence[Clip], label: int, rate_hz: float, rule: DecisionRule, accuracy: float | None, ahead: int
) -> LabelSteps:
    spans, false, quiet, left = 0, 0, 0, []
    for shares, targets, held_back in clips:
        begun = [begin for begin, _ in events(shares[:, label], rule, held_back)]
        other = ((targets >= 0) & (targets != label)) | (targets == anything_but(label))
        quiet += int(other.sum())
        false += int(other[begun].sum())
        for start, stop in stretches(targets == label):
            spans += 1
            inside = [begin for begin in begun if start <= begin < stop]
            left += [(stop + ahead - inside[0]) / rate_hz] if inside else []
    return LabelSteps(
        accuracy=accuracy,
        spans=spans,
        met=len(left),
        left_s=round(float(np.median(left)), 3) if left else None,
        false=false,
        quiet_minutes=round(quiet / rate_hz / 60, 3),
    )


def stretches(where: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first step, step after the last) of each run of steps (T,) that are true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], where.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _share(right: NDArray[np.bool_]) -> float | None:
    return round(float(right.mean()), 5) if right.size else None
