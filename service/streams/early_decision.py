"""Commitments with a promise: which error rates a bundle can keep, and one track's commitments. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from inkling.models.bundle.schema import BundleSpec
from inkling.models.early_decision import Commitment
from inkling.service.protocol.errors import UnknownErrorRate
from inkling.service.streams.event_detector import Change


@dataclass(frozen=True, slots=True)
class Terms:
    """What a stream asked for and the bundle can keep. background: index of its label, if there is one."""

    error_rate: float
    threshold: float
    min_steps: int
    background: int | None


def terms(spec: BundleSpec, error_rate: float | None) -> Terms | None:
    """The terms of an error rate; None when none is asked for. Raises UnknownErrorRate, which says those there are."""
    if error_rate is None:
        return None
    rule = spec.stopping
    for promise in rule.promises if rule is not None else ():
        if promise.threshold is not None and math.isclose(promise.error_rate, error_rate):
            background = None if spec.background is None else spec.labels.index(spec.background)
            assert rule is not None  # noqa: S101 - it has promises
            return Terms(promise.error_rate, promise.threshold, rule.min_steps, background)
    raise UnknownErrorRate(f"{spec.full_name} cannot promise error_rate {error_rate:g}; {_there_are(spec)}")


def error_rates(spec: BundleSpec) -> tuple[float, ...]:
    """Those that a bundle can keep."""
    rule = spec.stopping
    return () if rule is None else tuple(p.error_rate for p in rule.promises if p.threshold is not None)


def _there_are(spec: BundleSpec) -> str:
    kept = ", ".join(f"{rate:g}" for rate in error_rates(spec))
    return f"it promises {kept}" if kept else "it has no promises"


@dataclass(frozen=True, slots=True)
class Made:
    """A commitment. elapsed_s: since the epoch's first result or, unless it is its first, since the last one ended."""

    elapsed_s: float
    first: bool


class Promised:
    """One track's commitments: at most one an action, as far as it can tell where one ends.

    It is open for another one when an event has ended, when the background has led `min_steps` results in a row, and
    after a reset; then the first of a new epoch is due.
    """

    __slots__ = ("_first", "_rule", "_since_s")

    def __init__(self, terms: Terms) -> None:
        self._rule = Commitment(terms.threshold, terms.min_steps, terms.background)
        self._since_s: float | None = None
        self._first = True

    def restart(self) -> None:
        """The track's state is at its initial value."""
        self._rule.reopen()
        self._since_s = None
        self._first = True

    def push(self, pts_s: float, best: int, probability: float, changes: Sequence[Change]) -> Made | None:
        """Take one result, its largest probability at index `best`, and the events that it brought."""
        rule = self._rule
        before = rule.committed
        if before and any(change.phase == "end" for change in changes):
            rule.reopen()
        commits = rule.push(best, probability)
        if self._since_s is None or (before and (commits or not rule.committed)):
            self._since_s = pts_s
        if not commits:
            return None
        made = Made(pts_s - self._since_s, self._first)
        self._first = False
        return made
