"""From probabilities to events. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from inkling.models.bundle.schema import DecisionRule


@dataclass(frozen=True, slots=True)
class DetectedEvent:
    """An action (index of its label) begins or ends, with its probability then."""

    phase: Literal["begin", "end"]
    label: int
    probability: float


class EventDetector:
    """One track's debounced events: at most one action at a time, and every begin has its end.

    An action begins when it was the most probable, at `rule.on` or more, in `rule.min_steps` results in a row, none of
    them held back, and ends when it falls below `rule.off` or another one begins. The background never begins.
    """

    __slots__ = ("_active", "_background", "_candidate", "_last", "_rule", "_run")

    def __init__(self, rule: DecisionRule, background: int | None) -> None:
        """background: index of the label that means 'nothing is happening', if there is one."""
        self._rule = rule
        self._background = background
        self._active: int | None = None
        self._last = 0.0  # the active action's last probability
        self._candidate = -1
        self._run = 0

    @property
    def active(self) -> int | None:
        """Index of the action under way."""
        return self._active

    def push(self, probabilities: Sequence[float], best: int, *, held_back: bool = False) -> tuple[DetectedEvent, ...]:
        """Take one result, its largest probability at index `best`; what it brought, the end before the begin.

        held_back: what is seen is perhaps none of the labels, so nothing begins.
        """
        active = self._active
        if probabilities[best] >= self._rule.on and best != self._background and best != active and not held_back:
            self._run = self._run + 1 if best == self._candidate else 1
            self._candidate = best
            begins = self._run >= self._rule.min_steps
        else:
            self._candidate, self._run = -1, 0
            begins = False
        events: tuple[DetectedEvent, ...] = ()
        if active is not None:
            self._last = probabilities[active]
            if begins or self._last < self._rule.off:
                events = self._finish()
        if begins:
            events += (DetectedEvent("begin", best, probabilities[best]),)
            self._active, self._last = best, probabilities[best]
            self._candidate, self._run = -1, 0
        return events

    def end(self) -> tuple[DetectedEvent, ...]:
        """Forget everything, as after a reset; the end of the action under way, if there is one."""
        self._candidate, self._run = -1, 0
        return self._finish()

    def _finish(self) -> tuple[DetectedEvent, ...]:
        if self._active is None:
            return ()
        event = DetectedEvent("end", self._active, self._last)
        self._active = None
        return (event,)
