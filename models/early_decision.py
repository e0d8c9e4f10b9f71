"""When an action is decided early, the same in training and in the service. Pure.

open --the leader was not the background and reached the threshold, min_steps results in a row--> decided
decided --reopen(), or the background led min_steps results in a row--> open

Nothing is decided on a result that is held back, because what is seen is perhaps none of the labels (`unknown`).
"""

from __future__ import annotations


class EarlyDecisionRule:
    """One track's rule; it decides at most once until it is open again."""

    __slots__ = ("_background", "_leader", "_min_steps", "_run", "_threshold", "decided")

    def __init__(self, threshold: float, min_steps: int, background: int | None) -> None:
        """background: index of the label that means 'nothing is happening', if there is one."""
        self._threshold = threshold
        self._min_steps = min_steps
        self._background = background
        self._leader = -1  # of the results that count: what led them, and how many there were in a row
        self._run = 0
        self.decided = False

    def push(self, best: int, probability: float, *, held_back: bool = False) -> bool:
        """Take one result's most probable label; True: this label is decided now."""
        if self.decided:
            counts = best == self._background
        else:
            counts = best != self._background and probability >= self._threshold and not held_back
        if not counts:
            self._leader, self._run = -1, 0
            return False
        self._run = self._run + 1 if best == self._leader else 1
        self._leader = best
        if self._run < self._min_steps:
            return False
        if self.decided:
            self.reopen()
            return False
        self.decided = True
        self._leader, self._run = -1, 0
        return True

    def reopen(self) -> None:
        """What follows is another action, or another person."""
        self.decided = False
        self._leader, self._run = -1, 0
