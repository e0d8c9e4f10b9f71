"""Small charts as SVG text, to stand in a page without scripts or files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626", "#0891b2")
DASHES = ("", "7 4", "2 4", "9 3 2 3")


@dataclass(frozen=True, slots=True)
class Line:
    """One curve. points: (x, y), both in [0, 1]. colour, dash: which of `COLOURS` and `DASHES`."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    dash: int = 0
    dots: bool = True


def line_chart(lines: Sequence[Line], x_label: str, y_label: str, width: int = 640, height: int = 330) -> str:
    """Curves over two axes from 0 to 100 %, with a legend below."""
    left, right, top, bottom = 52, 14, 12, 44
    inner_width, inner_height = width - left - right, height - top - bottom
    columns = max(1, width // 420)
    legend_rows = -(-len(lines) // columns)

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * inner_width, top + (1 - y) * inner_height

    parts = [_svg(width, height + 20 * legend_rows + 10, f"{y_label} over {x_label}")]
    for tick in range(0, 101, 20):
        x, y = place(tick / 100, tick / 100)
        parts += [
            f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>',
            f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>',
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{height - bottom}" class="grid"/>',
            f'<text x="{x:.1f}" y="{height - bottom + 17}" text-anchor="middle">{tick}</text>',
        ]
    middle_y = top + inner_height / 2
    parts += [
        f'<text x="{left + inner_width / 2}" y="{height - 8}" text-anchor="middle">{escape(x_label)} (%)</text>',
        f'<text x="14" y="{middle_y}" text-anchor="middle" transform="rotate(-90 14 {middle_y})">'
        f"{escape(y_label)} (%)</text>",
    ]
    for i, line in enumerate(lines):
        colour, dash = COLOURS[line.colour % len(COLOURS)], DASHES[line.dash % len(DASHES)]
        stroke = f'fill="none" stroke="{colour}" stroke-width="2.2" stroke-dasharray="{dash}"'
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in line.points))
        parts.append(f'<polyline points="{path}" {stroke}/>')
        if line.dots:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}">'
                f"<title>{100 * point[1]:.1f} %</title></circle>"
                for point in line.points
                for x, y in [place(*point)]
            ]
        x, y = left + (i % columns) * (inner_width / columns), height + 14 + 20 * (i // columns)
        parts += [
            f'<line x1="{x}" x2="{x + 28}" y1="{y - 4}" y2="{y - 4}" {stroke}/>',
            f'<text x="{x + 35}" y="{y}">{escape(line.name)}</text>',
        ]
    return "".join(parts) + "</svg>"


def sparkline(values: Sequence[float], name: str, width: int = 110, height: int = 30) -> str:
    """Values in [0, 1] as a small filled curve."""
    step = (width - 2) / max(1, len(values) - 1)
    points = [(1 + i * step, 2 + (1 - value) * (height - 4)) for i, value in enumerate(values)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    floor = height - 2
    return (
        f'{_svg(width, height, name)}<rect x="1" y="2" width="{width - 2}" height="{height - 4}" class="spark"/>'
        f'<polygon points="1,{floor} {path} {width - 1},{floor}" fill="{COLOURS[0]}" fill-opacity="0.2"/>'
        f'<polyline points="{path}" fill="none" stroke="{COLOURS[0]}" stroke-width="1.8"/></svg>'
    )


def _svg(width: int, height: int, name: str) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(name, quote=True)}">'
