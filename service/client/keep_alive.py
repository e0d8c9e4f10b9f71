"""When a connection counts as dead, and what is said before. Pure: time comes in as `now_s`.

A server that works hard still answers pings, only later: so there is one time limit for every kind of silence, the
client's `timeout_s`, and pings are sent well before it. Any message counts as a sign of life, and so does a pong.
"""

from __future__ import annotations

from enum import Enum, auto

PINGS = 3
"""Pings that a silence of `timeout_s` holds."""
LONGEST_S = 20.0
"""Between two pings, however long the limit is: routers forget a connection that carries nothing."""


class Act(Enum):
    """What is to be done now."""

    WAIT = auto()
    PING = auto()
    SPEAK = auto()
    """Say something that counts as a message: pings do not."""
    SILENT = auto()
    """Nothing has come for `timeout_s`, not even a pong: the connection is dead."""
    UNANSWERED = auto()
    """The server lives, but has not answered for `timeout_s` although it should."""


class KeepAlive:
    """Watches over one connection. speak_s: seconds without a message of ours after which one is due; None: never."""

    def __init__(self, timeout_s: float, speak_s: float | None, now_s: float) -> None:
        self._timeout_s = timeout_s
        self._every_s = min(timeout_s / PINGS, LONGEST_S)
        self._speak_s = speak_s
        self._heard_s = self._pinged_s = self._spoke_s = now_s
        self._owed_s: float | None = None
        """Since when an answer is owed; each message that comes begins it anew."""

    def heard(self, now_s: float) -> None:
        """A message came."""
        self._heard_s = now_s
        if self._owed_s is not None:
            self._owed_s = now_s

    def pong(self, now_s: float) -> None:
        self._heard_s = now_s

    def spoke(self, now_s: float) -> None:
        """A message was sent."""
        self._spoke_s = now_s

    def owing(self, owed: bool, now_s: float) -> None:
        """Whether the server must answer, whatever the client does."""
        if not owed:
            self._owed_s = None
        elif self._owed_s is None:
            self._owed_s = now_s

    def look(self, now_s: float) -> Act:
        """What is due; a ping that is named is taken to be sent."""
        if now_s >= self._heard_s + self._timeout_s:
            return Act.SILENT
        if self._owed_s is not None and now_s >= self._owed_s + self._timeout_s:
            return Act.UNANSWERED
        if self._speak_s is not None and now_s >= self._spoke_s + self._speak_s:
            return Act.SPEAK
        if now_s >= max(self._heard_s, self._pinged_s) + self._every_s:
            self._pinged_s = now_s
            return Act.PING
        return Act.WAIT

    @property
    def due_s(self) -> float:
        """When to look next."""
        dues = [self._heard_s + self._timeout_s, max(self._heard_s, self._pinged_s) + self._every_s]
        if self._owed_s is not None:
            dues.append(self._owed_s + self._timeout_s)
        if self._speak_s is not None:
            dues.append(self._spoke_s + self._speak_s)
        return min(dues)
