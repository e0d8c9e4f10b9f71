"""A rule that commits to a label early, with a bound on how often it is wrong: how it is fitted and measured.

Learn then Test (Angelopoulos, Bates, Candès, Jordan, Lei, arXiv 2110.01052) applied to the time of stopping, as in
early time classification (Ringel et al., arXiv 2402.00857). For a threshold, let R = P(wrong | committed). That
R > alpha is tested on n clips that were committed on, k of them wrongly: given n, k is binomial, so the chance of k or
fewer of Bin(n, alpha) is a p-value. Thresholds are tested in a fixed order, from strict to lenient, each at level
delta, until one is not rejected (fixed-sequence testing, which needs no correction); the last that was rejected is
used. With probability 1 - delta, its R is at most alpha.

Clips count as independent draws. Clips of one group are alike, so the true delta is somewhat above the stated one.

Every data set is tested by itself and all must pass: the p-value of a threshold is the largest of theirs. Otherwise
many easy clips of one set would make up for errors on another.

The first threshold of the order is chosen on other clips, the ones that calibration was fitted on: it is the threshold
whose test is most likely to be passed. A stricter one commits on too few clips to tell, a more lenient one is wrong too
often.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from inkling.models.bundle.schema import Promise, StoppingRule
from inkling.models.early_decision import EarlyDecisionRule

THRESHOLDS = tuple(round(1 - 0.004 * 1.2**i, 4) for i in range(28))
"""The thresholds that are tried, strict to lenient: 0.996 to 0.45, each a fifth further from 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A clip as the rule sees it: (T, K) calibrated probabilities at its steps, and its true label.

    source: its data set; empty where it belongs to all of them, as a made-up one does.
    """

    probabilities: NDArray[np.float64]
    target: int
    group: str = ""
    source: str = ""
    held_back: Sequence[bool] | None = None
    """At each step whether nothing is decided, whatever is likeliest; None: never."""
    likeliest: tuple[tuple[int, float, bool], ...] = field(init=False, repr=False)
    """At each step the likeliest label, its probability, and whether it is held back. Computed once: every clip is run
    under every threshold."""

    def __post_init__(self) -> None:
        labels, shares = self.probabilities.argmax(1).tolist(), self.probabilities.max(1).tolist()
        held_back = self.held_back or [False] * len(labels)
        object.__setattr__(self, "likeliest", tuple(zip(labels, shares, held_back, strict=True)))


@dataclass(frozen=True, slots=True)
class Committed:
    """What a rule did on one clip. step: index of the step at which it committed; None: it never did."""

    step: int | None
    right: bool
    steps: int

    @property
    def share(self) -> float:
        """Share of the clip's steps that were needed."""
        return 1.0 if self.step is None else (self.step + 1) / self.steps


def commit(clip: Watched, threshold: float, min_steps: int, background: int | None) -> Committed:
    """Run the rule over one clip, up to its first commitment."""
    rule = EarlyDecisionRule(threshold, min_steps, background)
    for step, (label, probability, held_back) in enumerate(clip.likeliest):
        if rule.push(label, probability, held_back=held_back):
            return Committed(step, label == clip.target, len(clip.likeliest))
    return Committed(None, False, len(clip.likeliest))


def p_value(wrong: int, committed: int, error_rate: float) -> float:
    """The chance of so few wrong commitments or fewer, if more than `error_rate` of all commitments were wrong."""
    return float(binom.cdf(wrong, committed, error_rate)) if committed else 1.0


def chance(committed: int, wrong: int, scale: float, error_rate: float, delta: float) -> float:
    """The chance that a threshold passes its test on `scale` times as many clips, from its figures on some clips."""
    count = round(committed * scale)
    allowed = int(binom.ppf(delta, count, error_rate)) if count else -1
    allowed -= p_value(allowed, count, error_rate) > delta
    risk = (wrong + 0.5) / (committed + 1)  # few clips without an error are no proof that there is none
    return float(binom.cdf(allowed, count, risk)) if allowed >= 0 else 0.0


Counts = Sequence[tuple[int, int]]
"""For each data set: the number of clips that were committed on, and how many of them wrongly."""


def certify(counts: Iterable[tuple[float, Counts]], error_rate: float, delta: float) -> float | None:
    """Fixed-sequence test of thresholds, strict to lenient: the last that holds for every data set, or None."""
    held: float | None = None
    for threshold, sets in counts:
        if max(p_value(wrong, committed, error_rate) for committed, wrong in sets) > delta:
            break
        held = threshold
    return held


def fit_rule(
    others: Sequence[Watched],
    clips: Sequence[Watched],
    error_rates: Sequence[float],
    *,
    delta: float,
    min_steps: int,
    background: int | None,
) -> StoppingRule:
    """The rule, with a certified threshold for each error rate where there is one.

    others: clips that calibration was fitted on; they decide where the order of thresholds begins.
    clips: on which nothing else was fitted; they certify.
    """

    sources = sorted({clip.source for clip in clips if clip.source}) or [""]
    parts, parts_before = ([_of(source, watched) for source in sources] for watched in (clips, others))
    scales = [len(part) / max(1, len(before)) for part, before in zip(parts, parts_before, strict=True)]

    def counted(parts: Sequence[Sequence[Watched]]) -> list[tuple[float, Counts]]:
        tried = ((t, [measured(part, t, min_steps, background, 1.0) for part in parts]) for t in THRESHOLDS)
        return [(threshold, [(kept.committed, kept.wrong) for kept in sets]) for threshold, sets in tried]

    before, tested = counted(parts_before), counted(parts)
    promises = []
    for error_rate in sorted(error_rates):
        hopes = [
            min(chance(*count, scale, error_rate, delta) for count, scale in zip(sets, scales, strict=True))
            for _, sets in before
        ]
        begin = int(np.argmax(hopes)) if max(hopes) > 0 else len(tested)
        threshold = certify(tested[begin:], error_rate, delta)
        if threshold is None:
            promises.append(Promise(error_rate=error_rate, threshold=None))
            continue
        kept = measured(clips, threshold, min_steps, background, 1.0)
        promises.append(Promise(error_rate=error_rate, threshold=threshold, committed=kept.committed, wrong=kept.wrong))
    groups = len({clip.group or i for i, clip in enumerate(clips)})
    return StoppingRule(min_steps=min_steps, delta=delta, clips=len(clips), groups=groups, promises=tuple(promises))


def _of(source: str, clips: Sequence[Watched]) -> list[Watched]:
    return [clip for clip in clips if clip.source in (source, "")]


@dataclass(frozen=True, slots=True)
class ThresholdFigures:
    """The figures of a threshold on clips.

    wrong: of the clips that it committed on. share, seconds: of a clip, that a commitment needed on average.
    """

    clips: int
    committed: int
    wrong: int
    share: float
    seconds: float

    @property
    def never(self) -> float:
        """Share of all clips that it never commits on."""
        return 1 - self.committed / self.clips


def measured(
    clips: Sequence[Watched], threshold: float, min_steps: int, background: int | None, rate_hz: float
) -> ThresholdFigures:
    """Run the rule over clips. seconds: from the clip's first step to the one it committed at."""
    results = [commit(clip, threshold, min_steps, background) for clip in clips]
    committed = [(c, c.step) for c in results if c.step is not None]
    return ThresholdFigures(
        clips=len(clips),
        committed=len(committed),
        wrong=sum(not c.right for c, _ in committed),
        share=float(np.mean([c.share for c, _ in committed])) if committed else 0.0,
        seconds=float(np.mean([step / rate_hz for _, step in committed])) if committed else 0.0,
    )
