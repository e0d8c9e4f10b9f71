"""Panels of the Grafana board over a real run: `docs/pictures/board.svg`.

A real Prometheus asks a real server, while streams come and go. Each panel draws what Prometheus answers to the
board's own queries. It is a drawing, not a picture of Grafana.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from inkling.client import Client
from inkling.service.demo.figure import ACTIONS, pose
from inkling.service.settings import Settings
from tests.docker.promql import board
from tests.docker.test_monitoring import is_up, prometheus
from tests.pictures import svg
from tests.pictures.chart import Chart
from tests.service.conftest import running, wait_until

SHOWN = (
    "Streams and people", "Frames", "From frame to prediction", "Batch size", "Steps of the model", "CPU",
)  # fmt: skip
WAVES = ((8, 45.0), (24, 45.0), (0, 15.0))
"""How many streams there are, and for how many seconds."""
FPS = 30
RATE_S = 10
WIDTH, HEIGHT = 480, 230
COLUMNS = 2
SCALES = {"s": (1000.0, " ms"), "ops": (1.0, "/s"), "short": (1.0, "")}
"""By the panel's unit: what a value is multiplied with, and what is written behind it."""


def play(url: str, number: int, until_s: float) -> None:
    """One person in one stream, 30 frames a second."""
    action = list(ACTIONS)[number % len(ACTIONS)]
    with Client(url).stream("body-actions", skeleton="coco17", top_k=1) as stream:
        began_s, frame = time.monotonic(), 0
        while (now_s := time.monotonic()) < until_s:
            stream.send(pose(action, now_s - began_s), pts_s=now_s - began_s)
            frame += 1
            for _ in stream.received(max(0.0, began_s + frame / FPS - time.monotonic())):
                pass


def load(url: str) -> None:
    """Streams come and go in waves."""
    for count, lasts_s in WAVES:
        until_s = time.monotonic() + lasts_s
        players = [threading.Thread(target=play, args=(url, number, until_s)) for number in range(count)]
        for player in players:
            player.start()
        for player in players:
            player.join()
        time.sleep(max(0.0, until_s - time.monotonic()))


def answers(url: str, expression: str, begin_s: float, end_s: float) -> list[dict[str, Any]]:
    """What Prometheus says of a query of the board, a value a second."""
    filled = expression.replace("$instance", ".*").replace("$bundle", ".*").replace("$__rate_interval", f"{RATE_S}s")
    query: dict[str, str | float] = {"query": filled, "start": begin_s, "end": end_s, "step": 1}
    found: list[dict[str, Any]] = (
        httpx.get(f"{url}/query_range", params=query).raise_for_status().json()["data"]["result"]
    )
    return found


def measured() -> dict[str, tuple[str, list[tuple[str, list[tuple[float, float]]]]]]:
    """Of each panel its unit and its curves: legend, (seconds, value)."""
    panels = {panel["title"]: panel for panel in board()["panels"]}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Settings(port=0, load=("body-actions",))) as server,
        prometheus(server, Path(folder)) as url,
    ):
        wait_until(lambda: is_up(url))
        begin_s = time.time()
        load(server.url)
        end_s = time.time()
        found = {}
        for title in SHOWN:
            curves = []
            for target in panels[title]["targets"]:
                for row in answers(url, target["expr"], begin_s, end_s):
                    legend = target["legendFormat"]
                    for label, value in row["metric"].items():
                        legend = legend.replace(f"{{{{{label}}}}}", "" if label == "instance" else value)
                    points = [(at - begin_s, float(value)) for at, value in row["values"] if value != "NaN"]
                    curves.append((legend.replace("body-actions/5", "").strip(), points))
            found[title] = (panels[title]["fieldConfig"]["defaults"]["unit"], curves)
    return found


def ticks(most: float) -> Sequence[float]:
    """Four round numbers from 0 to at least `most`."""
    step = 10.0 ** len(str(int(most))) / 1000 if most >= 1 else 0.01
    for factor in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000):
        if 3 * step * factor >= most:
            return [step * factor * number for number in range(4)]
    raise AssertionError(f"no scale for {most}")


def draw() -> str:
    parts = []
    seconds = sum(lasts_s for _, lasts_s in WAVES)
    for number, (title, (unit, curves)) in enumerate(measured().items()):
        x, y = number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT
        scale, behind = SCALES[unit]
        most = max((value * scale for _, points in curves for _, value in points), default=1.0)
        levels = ticks(most)
        chart = Chart(x + 66, y + 48, WIDTH - 90, HEIGHT - 104, (0, seconds), (0, levels[-1]))
        parts.append(svg.text(x + 20, y + 30, title, 15, weight="bold"))
        names = [(level, f"{level:g}{behind}") for level in levels]
        parts += chart.axes([(at, f"{at:g} s") for at in range(0, int(seconds) + 1, 15)], names, 12)
        for place, (legend, points) in enumerate(curves):
            colour = svg.COLOURS[place % len(svg.COLOURS)]
            parts.append(chart.curve([(at, value * scale) for at, value in points], colour, 2))
            if legend:
                across = x + 66 + 92 * place
                parts.append(svg.line([(across, y + HEIGHT - 14), (across + 16, y + HEIGHT - 14)], colour, 3))
                parts.append(svg.text(across + 21, y + HEIGHT - 10, legend, 12))
    rows = -(-len(SHOWN) // COLUMNS)
    return svg.document(COLUMNS * WIDTH, rows * HEIGHT + 8, "Six panels of the monitoring board over a real run", parts)
