"""When the server is told of damaged frames: soon, but not of each one. Pure."""

from __future__ import annotations

from collections import Counter

from inkling.models.clean_decoding import Damage

SAY_EVERY_S = 1.0
"""The server is told after so long at the earliest."""


class DamageReport:
    """What was left out of one connection, and how much of it was told."""

    def __init__(self, *, joined: bool) -> None:
        """joined: a stream that is joined in its middle. Up to its first clean frame nothing is damaged but what was
        lost: the frames that refer to others before are as they should be."""
        self._joined = joined
        self._told: Counter[Damage] = Counter()
        self._next_s = 0.0

    def begin(self) -> None:
        """The first clean frame is here."""
        self._joined = False

    def news(self, left_out: Counter[Damage], now_s: float, *, last: bool = False) -> dict[Damage, int]:
        """What to tell now: frames by cause, none if there are none or it is too soon. left_out: all so far.

        last: there is no later.
        """
        if self._joined:
            for cause in (Damage.BROKEN, Damage.DEPENDENT):
                self._told[cause] = left_out[cause]
        news = left_out - self._told
        if not news or (now_s < self._next_s and not last):
            return {}
        self._told = left_out.copy()
        self._next_s = now_s + SAY_EVERY_S
        return dict(news)
