"""What a model answered to single clips, and which of them it did worst on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import Calibration
from inkling.models.calibration import probabilities
from inkling.training.data.corpus import Example
from inkling.training.evaluate.set_report import AnswerSpan, ClipReport
from inkling.training.scores import Floats, Ints

WORST = 12
"""Clips that are shown of a data set."""
MOST_SPANS = 4
"""Answers that are shown of a clip."""


def worst_clips(
    steps: Sequence[Floats],
    ratio_steps: Ints,
    examples: Sequence[Example],
    calibration: Calibration,
    labels: Sequence[str],
    rate_hz: float,
    most: int = WORST,
) -> tuple[ClipReport, ...]:
    """The clips whose true label has the least mean probability, among those not right throughout; worst first.

    steps: logits (T, K) of each example's steps. ratio_steps: (N, 10) where each reaches the observation ratios.
    """
    reports = [
        clip_report(logits, rows, example, calibration, labels, rate_hz)
        for logits, rows, example in zip(steps, ratio_steps, examples, strict=True)
    ]
    missed = [report for report in reports if report.right < 1]
    return tuple(sorted(missed, key=lambda report: float(np.mean(report.truth)))[:most])


def clip_report(
    logits: Floats,
    rows: NDArray[np.int64],
    example: Example,
    calibration: Calibration,
    labels: Sequence[str],
    rate_hz: float,
) -> ClipReport:
    """What was answered to one clip. logits: (T, K); rows: (10,) the steps that count."""
    shares = probabilities(logits, calibration, np.arange(len(logits)) / rate_hz)
    at_ratios = shares[rows]
    return ClipReport(
        path=example.path or example.group,
        group=example.group,
        label=labels[example.target],
        start_s=round(example.lead / rate_hz, 3),
        seconds=round((len(logits) - example.lead) / rate_hz, 3),
        right=round(float((at_ratios.argmax(1) == example.target).mean()), 5),
        truth=tuple(round(float(share), 4) for share in at_ratios[:, example.target]),
        answers=answer_spans(shares[example.lead :], labels, rate_hz),
    )


def answer_spans(shares: NDArray[Any], labels: Sequence[str], rate_hz: float) -> tuple[AnswerSpan, ...]:
    """The most probable labels of steps (T, K), each for as long as it leads; at most `MOST_SPANS`, the longest.

    Spans of one label that only a short one parted are told as one.
    """
    runs: list[tuple[int, int, int]] = []  # start, length, label
    for label, steps in groupby(shares.argmax(1).tolist()):
        start = runs[-1][0] + runs[-1][1] if runs else 0
        runs.append((start, len(list(steps)), label))
    shown = sorted(sorted(runs, key=lambda run: -run[1])[:MOST_SPANS])
    spans = []
    for label, same in groupby(shown, key=lambda run: run[2]):
        parts = list(same)
        highest = max(float(shares[start : start + length, label].max()) for start, length, _ in parts)
        from_s = round(parts[0][0] / rate_hz, 3)
        spans.append(AnswerSpan(from_s=from_s, label=labels[label], probability=round(highest, 4)))
    return tuple(spans)
