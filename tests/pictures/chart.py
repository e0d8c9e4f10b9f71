"""A small line chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.pictures import svg

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """Where a chart lies (pixels) and what it spans (data)."""

    x: float
    y: float
    width: float
    height: float
    across: tuple[float, float]
    up: tuple[float, float]

    def at(self, across: float, up: float) -> tuple[float, float]:
        """Pixels of a point of the data."""
        share = (across - self.across[0]) / (self.across[1] - self.across[0])
        rise = (up - self.up[0]) / (self.up[1] - self.up[0])
        return self.x + share * self.width, self.y + self.height - rise * self.height

    def axes(self, across: Sequence[tuple[float, str]], up: Sequence[tuple[float, str]], size: float = 13) -> list[str]:
        """Grid lines with their labels."""
        parts = []
        for value, label in up:
            left, height = self.at(self.across[0], value)
            parts.append(svg.line([(left, height), (left + self.width, height)], "#ddd", 1))
            parts.append(svg.text(left - 6, height + size / 3, label, size, anchor="end"))
        for value, label in across:
            middle, bottom = self.at(value, self.up[0])
            parts.append(svg.text(middle, bottom + size + 5, label, size, anchor="middle"))
        return parts

    def curve(self, points: Points, colour: str, width: float = 2.5) -> str:
        return svg.line([self.at(*point) for point in points], colour, width)
