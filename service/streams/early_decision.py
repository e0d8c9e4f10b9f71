"""Early decisions: which error rates a bundle can keep, and the decisions of one track. Pure.

The rule itself is `inkling.models.early_decision`, where training calibrates it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inkling.models.bundle.schema import BundleSpec
from inkling.models.early_decision import EarlyDecisionRule
from inkling.service.protocol.errors import UnknownErrorRate
from inkling.service.streams.event_detector import DetectedEvent


@dataclass(frozen=True, slots=True)
class EarlyDecisionTerms:
    """What a stream asked for and the bundle can keep. background: index of its label, if there is one."""

    error_rate: float
    threshold: float
    min_steps: int
    background: int | None


def early_decision_terms(spec: BundleSpec, error_rate: float | None) -> EarlyDecisionTerms | None:
    """The terms of an error rate; None when none is asked for. Raises UnknownErrorRate, which says those there are."""
    if error_rate is None:
        return None
    rule = spec.stopping
    for promise in rule.promises if rule is not None else ():
        if promise.threshold is not None and math.isclose(promise.error_rate, error_rate):
            background = None if spec.background is None else spec.labels.index(spec.background)
            assert rule is not None  # noqa: S101 - it has promises
            return EarlyDecisionTerms(promise.error_rate, promise.threshold, rule.min_steps, background)
    raise UnknownErrorRate(f"{spec.full_name} cannot promise error_rate {error_rate:g}; {_there_are(spec)}")


def error_rates(spec: BundleSpec) -> tuple[float, ...]:
    """Those that a bundle can keep."""
    rule = spec.stopping
    return () if rule is None else tuple(p.error_rate for p in rule.promises if p.threshold is not None)


def _there_are(spec: BundleSpec) -> str:
    kept = ", ".join(f"{rate:g}" for rate in error_rates(spec))
    return f"it promises {kept}" if kept else "it has no promises"


@dataclass(frozen=True, slots=True)
class EarlyDecision:
    """An action is decided now.

    first: of its epoch. elapsed_s: since the epoch's first result or, of a later one, since the last decided action
    ended.
    """

    elapsed_s: float
    first: bool


class EarlyDecisions:
    """One track's early decisions: at most one an action, as far as it can tell where one ends.

    Another one may be decided when an event has ended, when the background has led `min_steps` results in a row, and
    after a reset; then the first of a new epoch is due.
    """

    __slots__ = ("_first", "_rule", "_since_s")

    def __init__(self, terms: EarlyDecisionTerms) -> None:
        self._rule = EarlyDecisionRule(terms.threshold, terms.min_steps, terms.background)
        self._since_s: float | None = None
        self._first = True

    def restart(self) -> None:
        """The track's state is at its initial value."""
        self._rule.reopen()
        self._since_s = None
        self._first = True

    def push(
        self, pts_s: float, best: int, probability: float, events: Sequence[DetectedEvent], *, held_back: bool = False
    ) -> EarlyDecision | None:
        """Take one result, its largest probability at index `best`, and the events that it brought.

        held_back: what is seen is perhaps none of the labels, so nothing is decided.
        """
        rule = self._rule
        before = rule.decided
        if before and any(event.phase == "end" for event in events):
            rule.reopen()
        decides = rule.push(best, probability, held_back=held_back)
        if self._since_s is None or (before and (decides or not rule.decided)):
            self._since_s = pts_s
        if not decides:
            return None
        decision = EarlyDecision(pts_s - self._since_s, self._first)
        self._first = False
        return decision
