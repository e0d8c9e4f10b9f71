"""Write the board from the list of its panels: `python docker/grafana/build.py`. A test insists that it was done.

Rates of counters and quantiles of histograms, never averages of gauges over time. $instance and $bundle narrow all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BOARD = Path(__file__).parent / "boards" / "inkling.json"

SOURCE = {"type": "prometheus", "uid": "inkling-prometheus"}
WHERE = 'instance=~"$instance"'
OF = f'{WHERE},bundle=~"$bundle"'
RATE = "[$__rate_interval]"
WIDTH, HEIGHT = 24, 8


@dataclass(frozen=True, slots=True)
class Panel:
    """queries: (PromQL, legend). width: of 24 columns."""

    title: str
    text: str
    unit: str
    queries: Sequence[tuple[str, str]]
    width: int = 12
    kind: str = "timeseries"
    stack: bool = False


def total(name: str, by: str = "bundle") -> str:
    """A gauge, summed over the rest."""
    return f"sum by ({by}) ({name}{{{OF}}})"


def per_second(name: str, by: str = "bundle", where: str = OF) -> str:
    return f"sum by ({by}) (rate({name}{{{where}}}{RATE}))"


def quantiles(name: str) -> list[tuple[str, str]]:
    """p50, p95 and p99 of a histogram over all that is selected."""
    return [
        (f"histogram_quantile({q / 100}, sum by (le) (rate({name}_bucket{{{OF}}}{RATE})))", f"p{q}")
        for q in (50, 95, 99)
    ]


PANELS = [
    Panel("Ready", "Servers that take streams.", "short", [(f"sum(inkling_ready{{{WHERE}}})", "")], 4, "stat"),
    Panel("Streams", "Open now.", "short", [(f"sum(inkling_streams{{{OF}}})", "")], 4, "stat"),
    Panel("People", "Watched now.", "short", [(f"sum(inkling_tracks{{{OF}}})", "")], 4, "stat"),
    Panel("Broken bundles", "Found, and refused at the start.", "short",
          [(f"sum(inkling_bundle_broken{{{WHERE}}}) or vector(0)", "")], 4, "stat"),
    Panel("Versions", "", "short", [(f"count by (version) (inkling_build_info{{{WHERE}}})", "{{version}}")], 4, "stat"),
    Panel("Bundles", "Loaded, by how many servers.", "short",
          [(f"count by (bundle) (inkling_bundle_info{{{OF}}})", "{{bundle}}")], 4, "stat"),
    Panel("Streams and people", "", "short",
          [(total("inkling_streams"), "streams {{bundle}}"), (total("inkling_tracks"), "people {{bundle}}")]),
    Panel("Frames", "Received = stepped + skipped + refused + dropped + those that wait.", "ops",
          [(per_second(f"inkling_frames_{what}_total"), f"{what} {{{{bundle}}}}")
           for what in ("received", "stepped", "skipped", "refused")]),
    Panel("Frames dropped, by cause", "overflow: the inbox; failed: the model; no_slot: too many people; closed: the "
          "stream ended first.", "ops",
          [(per_second("inkling_frames_dropped_total", "bundle, cause"), "{{cause}} {{bundle}}")], stack=True),
    Panel("From frame to prediction", "Arrival to answer.", "s", quantiles("inkling_latency_seconds")),
    Panel("Waiting for the model", "Submission of a step to its run.", "s", quantiles("inkling_queue_seconds"), 8),
    Panel("Run of the model", "One batch.", "s", quantiles("inkling_step_seconds"), 8),
    Panel("Decoding", "One image.", "s", quantiles("inkling_decode_seconds"), 8),
    Panel("Pictures of cameras", "perceived: people were looked for; gated: nothing moved, nobody tracked.", "ops",
          [(per_second(f"inkling_frames_{what}_total"), f"{what} {{{{bundle}}}}")
           for what in ("perceived", "gated")], 8),
    Panel("Waiting for perception", "Arrival of a picture to its perception, decoding included.", "s",
          quantiles("inkling_people_queue_seconds"), 8),
    Panel("Looking for people", "One run of the people bundle.", "s", quantiles("inkling_people_seconds"), 8),
    Panel("People found", "In all pictures, each person in each of them.", "ops",
          [(per_second("inkling_people_found_total"), "{{bundle}}")], 8),
    Panel("Tracks", "Of the people found. id changes: begun where one was just lost, likely the same person.", "ops",
          [(per_second(f"inkling_people_{what}_total"), f"{legend} {{{{bundle}}}}")
           for what, legend in (("tracks_begun", "begun"), ("tracks_lost", "lost"), ("id_changes", "id changes"))], 8),
    Panel("Pictures that perception lost", "Of runs of the people bundle that failed.", "ops",
          [(per_second("inkling_people_failed_total"), "{{bundle}}")], 8),
    Panel("Pictures in one run", "Of the people bundle.", "short", quantiles("inkling_people_batch_size"), 8),
    Panel("Batch size", "Steps in one run.", "short",
          [*quantiles("inkling_batch_size"),
           (f"sum(rate(inkling_batch_size_sum{{{OF}}}{RATE})) / sum(rate(inkling_batch_size_count{{{OF}}}{RATE}))",
            "mean")]),
    Panel("Steps of the model", "One for each person and tick.", "ops",
          [(per_second("inkling_steps_total"), "{{bundle}}")]),
    Panel("Slots free", "Room for more people.", "short",
          [(total("inkling_slots_free", "instance, bundle"), "{{bundle}} {{instance}}")]),
    Panel("Resets, by reason", "States set to their initial value.", "ops",
          [(per_second("inkling_resets_total", "reason"), "{{reason}}")], stack=True),
    Panel("Errors, by code", "Told to clients.", "ops",
          [(per_second("inkling_errors_total", "code", WHERE), "{{code}}")], stack=True),
    Panel("Sources, by state", "Cameras and files that the server fetches itself.", "short",
          [(f"sum by (state) (inkling_sources{{{WHERE}}})", "{{state}}")], stack=True),
    Panel("Connections to sources lost, by cause", "", "ops",
          [(per_second("inkling_source_losses_total", "cause", WHERE), "{{cause}}")], stack=True),
    Panel("Damaged frames of sources, by cause", "Left out. lost: on the way; broken: cannot be decoded; dependent: "
          "refer to these.", "ops",
          [(per_second("inkling_source_frames_damaged_total", "cause", WHERE), "{{cause}}")], stack=True),
    Panel("Canary", "Largest difference of a logit between a batch and a person alone; empty: off.", "short",
          [(f"max by (bundle) (inkling_canary_difference{{{OF}}})", "{{bundle}}")]),
    Panel("Clips scored", "", "ops", [(per_second("inkling_clips_total"), "{{bundle}}")]),
    Panel("Memory", "Resident, of the server's process.", "bytes",
          [(f"process_resident_memory_bytes{{{WHERE}}}", "{{instance}}")]),
    Panel("CPU", "Cores in use.", "short", [(f"rate(process_cpu_seconds_total{{{WHERE}}}{RATE})", "{{instance}}")]),
]  # fmt: skip


def board() -> dict[str, Any]:
    """The whole board, as Grafana imports it."""
    return {
        "uid": "inkling",
        "title": "Inkling",
        "tags": ["inkling"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [variable("instance", "inkling_ready"), variable("bundle", "inkling_bundle_info")]},
        "annotations": {"list": [restarts()]},
        "panels": list(placed()),
    }


def variable(name: str, metric: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({metric}, {name})", "refId": name},
        "definition": f"label_values({metric}, {name})",
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
        "sort": 1,
    }


def restarts() -> dict[str, Any]:
    return {
        "name": "Starts",
        "datasource": SOURCE,
        "enable": True,
        "expr": f"changes(process_start_time_seconds{{{WHERE}}}[1m]) > 0",
        "titleFormat": "started {{instance}}",
        "iconColor": "blue",
    }


def placed() -> Iterator[dict[str, Any]]:
    """Every panel with its place: left to right, row by row."""
    x = y = height = 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > WIDTH:
            x, y = 0, y + height
        height = 4 if panel.kind == "stat" else HEIGHT
        yield rendered(number, panel, {"x": x, "y": y, "w": panel.width, "h": height})
        x += panel.width


def rendered(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    custom = {"fillOpacity": 30 if panel.stack else 5, "stacking": {"mode": "normal" if panel.stack else "none"}}
    named = any("version" in legend or "bundle" in legend for _, legend in panel.queries)
    options: dict[str, Any] = {
        "timeseries": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "stat": {"graphMode": "none", "textMode": "value_and_name" if named else "value", "colorMode": "none",
                 "reduceOptions": {"calcs": ["lastNotNull"]}},
    }  # fmt: skip
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.text,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "custom": custom if panel.kind == "timeseries" else {}},
            "overrides": [],
        },
        "options": options[panel.kind],
        "targets": [
            {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expr, "legendFormat": legend or "__auto"}
            for i, (expr, legend) in enumerate(panel.queries)
        ],
    }


def text() -> str:
    """The file's content."""
    return json.dumps(board(), indent=1) + "\n"


if __name__ == "__main__":
    BOARD.write_text(text(), encoding="utf-8")
