"""Accuracy by observed share of the action: `docs/pictures/observed_share.svg`, from the bundles' own figures."""

from __future__ import annotations

import json

from inkling.models.bundle import Registry, zoo_directory
from tests.pictures import svg
from tests.pictures.chart import Chart

WIDTH, HEIGHT = 760, 400


def curves() -> dict[str, list[float]]:
    """Accuracy in per cent at 10 %, 20 % … 100 % of the action, of clean test clips, by bundle and set."""
    found = {}
    for entry in sorted(Registry([zoo_directory()]).scan("step"), key=lambda entry: entry.name):
        quality = json.loads((entry.path / "bundle.json").read_text(encoding="utf-8"))["quality"]
        for tested, conditions in quality.items():
            if isinstance(clean := conditions.get("clean"), dict) and "joint" in clean:
                shares = [100 * share for share in clean["joint"]["accuracy"]]
                found[f"{entry.name} on {tested}"] = shares
    return found


def draw() -> str:
    chart = Chart(60, 50, 480, 290, (10, 100), (40, 100))
    parts = chart.axes([(s, f"{s} %") for s in range(10, 101, 10)], [(a, f"{a} %") for a in range(40, 101, 10)])
    parts.append(svg.text(60, 28, "Right answers by how much of the action was seen", 16, weight="bold"))
    parts.append(svg.text(300, 384, "observed share of the action", anchor="middle"))
    for number, (name, shares) in enumerate(curves().items()):
        colour = svg.COLOURS[number]
        parts.append(chart.curve([(10 * (tenth + 1), share) for tenth, share in enumerate(shares)], colour))
        height = 80 + 46 * number
        parts.append(svg.line([(560, height), (584, height)], colour, 3))
        parts.append(svg.text(592, height + 5, name.split(" on ")[0]))
        parts.append(svg.text(592, height + 22, f"on {name.split(' on ')[1]}", 12, "#555"))
    return svg.document(WIDTH, HEIGHT, "Accuracy by observed share of the action", parts)
