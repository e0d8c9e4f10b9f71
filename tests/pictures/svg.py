"""A few SVG elements as text. Every picture has a white ground, so that it can be read on a dark page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

INK, PALE, GROUND = "#222", "#999", "#fff"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's, which can be told apart with every kind of colour vision."""
FONT = "font-family='Helvetica, Arial, DejaVu Sans, sans-serif'"


def document(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    """A whole file."""
    body = "\n".join(parts)
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_n(width)} {_n(height)}' {FONT} role='img'>\n"
        f"<title>{escape(title)}</title>\n<rect width='100%' height='100%' rx='8' fill='{GROUND}'/>\n{body}\n</svg>\n"
    )


def text(
    x: float, y: float, words: str, size: float = 14, colour: str = INK, anchor: str = "start", weight: str = "normal"
) -> str:
    return (
        f"<text x='{_n(x)}' y='{_n(y)}' font-size='{_n(size)}' fill='{colour}' text-anchor='{anchor}'"
        f" font-weight='{weight}'>{escape(words)}</text>"
    )


def line(
    points: Sequence[tuple[float, float]], colour: str = INK, width: float = 1.5, arrow: bool = False, dash: str = ""
) -> str:
    """A line through points, optionally with an arrow head at its end (`arrow_head` must be in the document)."""
    path = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    more = (" marker-end='url(#head)'" if arrow else "") + (f" stroke-dasharray='{dash}'" if dash else "")
    return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{_n(width)}'{more}/>"


def arrow_head() -> str:
    return (
        "<defs><marker id='head' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='7' markerHeight='7'"
        f" orient='auto-start-reverse'><path d='M0,0 L10,5 L0,10 z' fill='{INK}'/></marker></defs>"
    )


def box(x: float, y: float, width: float, height: float, fill: str = GROUND, colour: str = INK) -> str:
    return (
        f"<rect x='{_n(x)}' y='{_n(y)}' width='{_n(width)}' height='{_n(height)}' rx='6' fill='{fill}'"
        f" stroke='{colour}' stroke-width='1.5'/>"
    )


def dot(x: float, y: float, radius: float, fill: str = INK) -> str:
    return f"<circle cx='{_n(x)}' cy='{_n(y)}' r='{_n(radius)}' fill='{fill}'/>"


def _n(value: float) -> str:
    """A number to a hundredth, without needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
