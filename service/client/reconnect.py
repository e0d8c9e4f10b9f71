"""Opening a lost stream again: how often, after how long, and what is told of it. Pure: time comes in as `now_s`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inkling.service.client.errors import ClientError
from inkling.service.protocol.codec import Ready


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How long a stream is tried again, in place of `reconnect=True`.

    Waits grow from `first_s` to `most_s`, doubling; each is shortened by chance to as little as half, so that many
    clients do not come back in one moment. Tries end after `tries`, or `give_up_s` after the loss. Both begin anew once
    the server has answered a frame.
    """

    first_s: float = 0.5
    most_s: float = 15.0
    tries: int = 30
    give_up_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Reconnection:
    """A stream was lost and is open again, as a new stream of the server: every state began anew.

    reason: the error that it was lost by. unanswered: numbers of the frames that were sent and never answered; they are
    lost, and are not sent again. down_s: from the loss until now. tries: how many it took. ready: the new admission.
    """

    reason: ClientError
    unanswered: range
    down_s: float
    tries: int
    ready: Ready


class Backoff:
    """When to try next. chance: gives a number in [0, 1)."""

    def __init__(self, limits: Reconnect, chance: Callable[[], float]) -> None:
        self._limits = limits
        self._chance = chance
        self.tries = 0
        self._began_s: float | None = None

    def next_s(self, now_s: float) -> float | None:
        """When to try again; None: give up."""
        if self._began_s is None:
            self._began_s = now_s
        longest_s = min(self._limits.first_s * 2.0 ** min(self.tries, 30), self._limits.most_s)
        due_s = now_s + longest_s * (1 - self._chance() / 2)
        if self.tries >= self._limits.tries or due_s > self._began_s + self._limits.give_up_s:
            return None
        self.tries += 1
        return due_s

    def succeeded(self) -> None:
        """The stream works; the next loss is a new one."""
        self.tries = 0
        self._began_s = None
