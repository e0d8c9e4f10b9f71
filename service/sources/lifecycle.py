"""The life of a source as a state machine.

    connecting  -> live        a frame came
    live        -> stalled     none came for `stall_s`; and back
    all three   -> retrying    the connection was lost, or given up; waits, longer each time
    retrying    -> connecting
    any         -> ended       played to its end, or removed
    any         -> failed      another try would not help

Pure: time comes in, and what is to be done comes out.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SourceState(StrEnum):
    CONNECTING = "connecting"
    LIVE = "live"
    STALLED = "stalled"
    RETRYING = "retrying"
    ENDED = "ended"
    FAILED = "failed"


class Cause(StrEnum):
    """Why a source is not live."""

    TIMEOUT = "timeout"  # no answer, or no first frame, in time
    UNREACHABLE = "unreachable"
    UNKNOWN_HOST = "unknown_host"
    NOT_FOUND = "not_found"
    UNAUTHORISED = "unauthorised"  # not tried again: cameras lock accounts
    REFUSED = "refused"  # by the settings
    UNREADABLE = "unreadable"  # not a video, or none that can be decoded
    CLOSED = "closed"  # by the other side
    NO_FRAMES = "no_frames"  # connected, and silent
    MEMORY = "out_of_memory"  # decoding took more than its pictures need
    CRASHED = "crashed"  # the process that decodes
    TOO_LARGE = "too_large"  # a recording that must be fetched whole
    NO_STORAGE = "no_storage"  # there is no room for it
    CAPACITY = "over_capacity"  # of this server
    NO_BUNDLE = "no_bundle"  # the bundle is not loaded, or takes no frames
    FINISHED = "finished"
    REMOVED = "removed"


ACTIVE = frozenset({SourceState.CONNECTING, SourceState.LIVE, SourceState.STALLED})
"""States with a connection, or the attempt to have one."""
FINAL = frozenset({SourceState.ENDED, SourceState.FAILED})
HOPELESS = frozenset({Cause.UNAUTHORISED, Cause.REFUSED, Cause.NO_BUNDLE, Cause.TOO_LARGE})
"""Causes after which no further try is made, wherever the source is."""
HOPELESS_HERE = HOPELESS | {Cause.NOT_FOUND, Cause.UNREADABLE, Cause.CRASHED}
"""The same for a file: it will not be another one in a second."""


class Action(StrEnum):
    """What a tick asks for."""

    NOTHING = "nothing"
    CONNECT = "connect"
    DROP = "drop"  # end the connection, whatever it is doing


@dataclass(frozen=True, slots=True)
class SourceTiming:
    """The settings `source_*_s`, and their defaults. open_s: to the first answer. first_retry_s, retry_s: the first and
    the longest wait. steady_s: a connection that was live for so long was good. Neither it nor the first wait is a
    setting.
    """

    open_s: Seconds = Field(default=10.0, description="seconds that a source gets to answer")
    stall_s: Seconds = Field(default=3.0, description="seconds without a frame after which a source is stalled")
    read_s: Seconds = Field(
        default=10.0, description="seconds without a frame after which a source is connected to anew"
    )
    first_retry_s: Seconds = 1.0
    retry_s: Seconds = Field(default=30.0, description="longest wait in seconds between two tries to connect")
    steady_s: Seconds = 10.0

    def later(self, interval_s: float) -> SourceTiming:
        """For a source whose frames are so far apart: what is missed counts from when the next one is due."""
        return replace(self, stall_s=self.stall_s + interval_s, read_s=self.read_s + interval_s)


class SourceLifecycle:
    """One source's state. Methods take the time `now_s`, which never runs backward.

    cause, message: why it is not live, empty while it is. since_s: when the state began. failures: connections in a row
    that did not last. deadline_s: when `tick` is due, None: never.
    Raises ValueError for a transition that cannot be.
    """

    __slots__ = (
        "_last_s", "_live_s", "_local", "_loops", "_timing", "cause", "deadline_s", "failures", "message", "since_s",
        "state",
    )  # fmt: skip

    def __init__(self, timing: SourceTiming, now_s: float, *, local: bool = False, loops: bool = False) -> None:
        """local: a file, for which some causes are hopeless that may pass elsewhere. loops: played for ever, so that a
        process that dies once it was live (of memory, of a signal) is no reason to stop. Due to connect at once."""
        self._timing = timing
        self._loops = loops
        self._local = local
        self.state = SourceState.RETRYING
        self.cause: Cause | None = None
        self.message = ""
        self.since_s = now_s
        self.deadline_s: float | None = now_s
        self.failures = 0
        self._live_s: float | None = None  # since when frames have come on this connection
        self._last_s = now_s  # the last sign of life

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    @property
    def final(self) -> bool:
        return self.state in FINAL

    def connect(self, now_s: float) -> None:
        """A connection is begun."""
        self._from(SourceState.RETRYING)
        self._live_s = None
        # Until it is live, the last cause stays: it says why there are no frames.
        self._enter(SourceState.CONNECTING, now_s, self.cause, self.message)
        self.deadline_s = now_s + self._timing.open_s

    def opened(self, now_s: float, message: str | None = None) -> None:
        """The other side answered; the first frame is still to come. message: why, where it takes long; then this may
        be said again and again."""
        self._from(SourceState.CONNECTING)
        if message is not None:
            self.message = message
        self.deadline_s = now_s + self._timing.read_s

    def frame(self, now_s: float) -> None:
        """A frame came."""
        self._from(*ACTIVE)
        self._last_s = now_s
        if self._live_s is None:
            self._live_s = now_s
        if self.state is not SourceState.LIVE:
            self._enter(SourceState.LIVE, now_s)
        self.deadline_s = now_s + min(self._timing.stall_s, self._timing.read_s)

    def tick(self, now_s: float, chance: float = 1.0) -> Action:
        """Time has passed. chance: a random number of [0, 1), as for `lost`."""
        if self.deadline_s is None or now_s < self.deadline_s:
            return Action.NOTHING
        timing = self._timing
        match self.state:
            case SourceState.RETRYING:
                return Action.CONNECT
            case SourceState.LIVE if timing.stall_s < timing.read_s:
                self._enter(SourceState.STALLED, now_s, Cause.NO_FRAMES, f"no frame for {timing.stall_s:g} s")
                self.deadline_s = max(self._last_s + timing.read_s, now_s)
                return Action.NOTHING
            case SourceState.CONNECTING:
                self.lost(Cause.TIMEOUT, "no first frame in time", now_s, chance)
            case _:
                self.lost(Cause.NO_FRAMES, f"no frame for {timing.read_s:g} s", now_s, chance)
        return Action.DROP

    def lost(self, cause: Cause, message: str, now_s: float, chance: float = 1.0) -> None:
        """The connection ended, or could not be had. chance: of [0, 1), spreads the tries of many sources."""
        self._from(*ACTIVE)
        again = cause is Cause.CRASHED and self._loops and self._live_s is not None
        if not again and cause in (HOPELESS_HERE if self._local else HOPELESS):
            self.fail(cause, message, now_s)
            return
        timing = self._timing
        steady = self._live_s is not None and now_s - self._live_s >= timing.steady_s
        self.failures = 1 if steady else self.failures + 1
        longest_s = min(timing.first_retry_s * 2.0 ** min(self.failures - 1, 30), timing.retry_s)
        self._enter(SourceState.RETRYING, now_s, cause, message)
        self.deadline_s = now_s + longest_s * (0.5 + 0.5 * chance)

    def finish(self, now_s: float) -> None:
        """Played to its end; now, or before a restart."""
        self._from(*ACTIVE, SourceState.RETRYING)
        self._enter(SourceState.ENDED, now_s, Cause.FINISHED)

    def fail(self, cause: Cause, message: str, now_s: float) -> None:
        """Another try would not help."""
        self._from(*ACTIVE, SourceState.RETRYING)
        self._enter(SourceState.FAILED, now_s, cause, message)

    def remove(self, now_s: float) -> None:
        """Somebody wants no more of it; from any state, also a final one."""
        self._enter(SourceState.ENDED, now_s, Cause.REMOVED)

    def _enter(self, state: SourceState, now_s: float, cause: Cause | None = None, message: str = "") -> None:
        self.state = state
        self.cause = cause
        self.message = message
        self.since_s = now_s
        self.deadline_s = None

    def _from(self, *states: SourceState) -> None:
        if self.state not in states:
            raise ValueError(
                f"a source that is {self.state} cannot take this step; it must be {' or '.join(sorted(states))}"
            )
