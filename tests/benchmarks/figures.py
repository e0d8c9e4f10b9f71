"""Figures of repeated measurements and of latencies, and how they are shown in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHARES = (*range(0, 100, 2), 99, 99.5, 99.9, 100)
"""Per cent of frames for which a distribution says how long they took."""
BARS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Spread:
    """A median of several runs, with the least and the greatest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        found = np.asarray(values, float)
        return cls(float(np.median(found)), float(found.min()), float(found.max()))

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} ({self.low:{spec}} to {self.high:{spec}})"

    def as_json(self) -> dict[str, float]:
        return {"median": round(self.median, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


def composed(*rates: float) -> float:
    """What is left of a second's work that needs each of these, one after the other: 1 / (1/a + 1/b + ...)."""
    return 1 / sum(1 / rate for rate in rates)


def latency_figures(seconds: ArrayLike) -> dict[str, float]:
    """Percentiles in milliseconds; NaN where there are none."""
    found = np.asarray(seconds, float) * 1e3
    if not len(found):
        found = np.array([np.nan])
    shares = {"p50_ms": 50.0, "p90_ms": 90.0, "p99_ms": 99.0, "p999_ms": 99.9, "max_ms": 100.0}
    return {name: round(float(np.percentile(found, share)), 3) for name, share in shares.items()}


def distribution(seconds: ArrayLike) -> list[float]:
    """Milliseconds within which each of `SHARES` was answered."""
    found = np.asarray(seconds, float) * 1e3
    return [round(float(at), 3) for at in np.percentile(found, SHARES)] if len(found) else []


def drawn(rows: Mapping[str, Sequence[float]], width: int = 64) -> str:
    """Distributions (as `distribution` gives them) as lines of a histogram over a common logarithmic axis."""
    rows = {name: row for name, row in rows.items() if row}
    if not rows:
        return "no answers"
    low = max(min(row[0] for row in rows.values()), 1e-2)
    high = max(max(row[-1] for row in rows.values()), low * 1.01)
    edges = np.geomspace(low, high, width + 1)
    room = max(len(name) for name in rows)
    lines = [f"{name:>{room}} {_bars(np.asarray(row), edges)}" for name, row in rows.items()]
    axis = f"{low:.2g} ms".ljust(width - 9) + f"{high:.3g} ms".rjust(9)
    return "\n".join([*lines, f"{'':>{room}} {axis}"])


def _bars(row: NDArray[np.float64], edges: NDArray[np.float64]) -> str:
    share = np.diff(np.interp(edges, row, SHARES, left=0.0, right=100.0))
    levels = np.ceil(share / max(share.max(), 1e-9) * (len(BARS) - 1)).astype(int)
    return "".join(BARS[level] for level in levels)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table for a terminal, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    room = [max(len(row[k]) for row in cells) for k in range(len(head))]
    return "\n".join(
        "  ".join([row[0].ljust(room[0]), *(cell.rjust(n) for cell, n in zip(row[1:], room[1:], strict=True))])
        for row in cells
    )
