"""What metrics may hook into: one call a batch of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class BatchReport:
    """One engine batch, for metrics. bundle: its full name. queue_s: one value per step, from received to taken.

    latency_s: from received to answered, only of steps that gave a prediction. failed: nothing was stepped.
    """

    bundle: str
    size: int
    queue_s: Sequence[float]
    step_s: float
    latency_s: Sequence[float]
    failed: bool


class Observer(Protocol):
    """What metrics may hook into. Called on the loop's thread, at most once per batch; must not raise."""

    def batch(self, report: BatchReport) -> None: ...

    def perceived(self, people: str, runs: Sequence[tuple[int, float]], queue_s: Sequence[float], failed: int) -> None:
        """People were looked for: pictures and seconds of each run that went well. people: the bundle's full name.

        queue_s: of each picture, from received to taken, still ones included. failed: pictures of runs that did not."""

    def decoded(self, bundle: str, seconds: Sequence[float]) -> None:
        """So long decoding took, of each frame since the call before."""
