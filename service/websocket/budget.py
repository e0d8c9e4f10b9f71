"""How many trifles a client may send: frames that say nothing, and cost the server as much as those that do. Pure.

Trifles are control frames (pings, pongs), fragments below `framing.SMALL` bytes, and messages too short to mean
anything. A token bucket allows `BURST` of them at once and `PER_S` in every second after that. A browser that cuts a
large message into fragments sends one small one with it, the last; a client that keeps alive sends a few pings a
minute.
"""

from __future__ import annotations

PER_S = 200.0
BURST = 400


class Budget:
    """A token bucket: full at first, emptied by `spend`, filled by time."""

    __slots__ = ("_at_s", "_burst", "_left", "_per_s")

    def __init__(self, per_s: float = PER_S, burst: int = BURST) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = float(burst)
        self._at_s: float | None = None

    def spend(self, cost: int, now_s: float) -> bool:
        """Take `cost` from what is left; False when it is more than that, which then stays."""
        if self._at_s is not None:
            self._left = min(self._left + (now_s - self._at_s) * self._per_s, self._burst)
        self._at_s = now_s
        if cost > self._left:
            return False
        self._left -= cost
        return True
