"""Ten busy cameras on one server: is each looked at as often as the others, and is every frame accounted for?

    python -m tests.benchmarks.ten_cameras [--cameras 10] [--seconds 30] [--film FILE] [--rate 15]

The server fetches the cameras itself, in processes of its own, and shares all cores of this machine with them. Without
`--film` each camera shows a drawn figure that moves, H.264 at 640 x 480. More cameras than the machine can look at must
lose whole frames, declared, and each must lose as many. Prints a table; one JSON object is the last line.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from inkling.service.demo.falling import picture
from tests.benchmarks.proc import on_processor_s, otherwise_busy, resident_kib
from tests.benchmarks.processes import end_in_order, service
from tests.films import make_film

SETTLE_S = 5.0
FILM_S = 6.0
BUNDLE = "body-actions"


def film(path: Path, rate_hz: float) -> Path:
    """Somebody who stands, falls and lies, over and over."""
    images = [np.asarray(cv2.resize(picture(i / rate_hz), (640, 480)), np.uint8) for i in range(int(FILM_S * rate_hz))]
    return make_film(path, images, rate_hz, "libx264", "yuv420p", options={"g": "15", "preset": "veryfast"})


def quantile(url: str, name: str, share: float) -> float | None:
    """An upper bound of a quantile of a histogram of the server's, over all that it has seen, in seconds."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=30).text)
    counts: dict[float, float] = {}
    for family in families:
        for sample in family.samples:
            if sample.name == f"{name}_bucket":
                edge = float(sample.labels["le"])
                counts[edge] = counts.get(edge, 0.0) + sample.value
    total = max(counts.values(), default=0.0)
    edges = [edge for edge in sorted(counts) if counts[edge] >= share * total]
    return edges[0] if total and edges and edges[0] != float("inf") else None


def accounted(counts: dict[str, Any], waiting: int) -> bool:
    """Whether every frame that a stream has received is stepped, skipped, refused, dropped by a cause, or waits."""
    told = counts["stepped"] + counts["skipped"] + counts["refused"] + sum(counts["dropped"].values())
    return bool(told <= counts["received"] <= told + waiting + 1)


def watch(url: str, pid: int, files: list[Path], seconds: float) -> dict[str, Any]:
    """Add a camera for each file, let them run, and say what became of their frames."""
    ids = [
        httpx.post(f"{url}/v1/sources", json={"url": f"file:{path.name}", "bundle": BUNDLE, "loop": True})
        .raise_for_status()
        .json()["id"]
        for path in files
    ]
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s and not all(row["counts"]["received"] for row in streams(url)):
        time.sleep(0.2)
    time.sleep(SETTLE_S)
    before, memory, spent_s, began_s = streams(url), [resident_kib(pid)], on_processor_s(pid), time.monotonic()
    for _ in range(4):
        time.sleep(seconds / 4)
        memory.append(resident_kib(pid))
    after, took_s = streams(url), time.monotonic() - began_s
    spent_s = on_processor_s(pid) - spent_s
    rows = []
    for id, first, last in zip(ids, before, after, strict=True):
        risen = {name: last["counts"][name] - first["counts"][name] for name in ("received", "perceived", "gated")}
        dropped = sum(last["counts"]["dropped"].values()) - sum(first["counts"]["dropped"].values())
        good = accounted(last["counts"], last["waiting"])
        rows.append({"stream": id, **risen, "dropped": dropped, "waiting": last["waiting"], "accounted": good})
    for id in ids:
        httpx.delete(f"{url}/v1/sources/{id}", timeout=30.0).raise_for_status()
    looked = [row["perceived"] for row in rows]
    return {
        "cameras": len(files),
        "cores": len(os.sched_getaffinity(0)),
        "seconds": round(took_s, 1),
        "received_hz": round(sum(row["received"] for row in rows) / took_s, 1),
        "perceived_hz": round(sum(looked) / took_s, 1),
        "dropped": round(sum(row["dropped"] for row in rows) / max(sum(row["received"] for row in rows), 1), 3),
        "least_over_most": round(min(looked) / max(max(looked), 1), 3),
        "every_frame_accounted": all(row["accounted"] for row in rows),
        "cores_used": round(spent_s / took_s, 2),
        "waiting_s": {f"p{share:g}": quantile(url, "inkling_people_queue_seconds", share / 100) for share in (50, 99)},
        "latency_s": {f"p{share:g}": quantile(url, "inkling_latency_seconds", share / 100) for share in (50, 99)},
        "memory_mib": [round(kib / 1024) for kib in memory],
        "rows": rows,
    }


def streams(url: str) -> list[dict[str, Any]]:
    """Those that are open, the oldest first."""
    found: list[dict[str, Any]] = httpx.get(f"{url}/v1/streams", timeout=30.0).raise_for_status().json()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cameras", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=15.0, help="pictures a second of the drawn film")
    parser.add_argument("--film", type=Path, help="what each camera shows, in place of the drawn figure")
    wish = parser.parse_args()
    end_in_order()
    with tempfile.TemporaryDirectory() as directory:
        first = film(Path(directory) / "0.mp4", wish.rate)
        if wish.film is not None:
            first.write_bytes(wish.film.read_bytes())
        files = [first]
        for number in range(1, wish.cameras):
            files.append(first.with_name(f"{number}.mp4"))
            files[-1].write_bytes(first.read_bytes())
        busy = otherwise_busy()
        flags = ["--source-directories", directory, "--source-schemes", "file", "--max-sources", str(wish.cameras)]
        with service(*flags, "--load", BUNDLE, everywhere=True) as (url, pid):
            found = watch(url, pid, files, wish.seconds) | {"otherwise_busy": busy}
    print(f"{'camera':>6} {'received':>9} {'looked at':>9} {'still':>6} {'dropped':>8}")
    for number, row in enumerate(found["rows"]):
        print(f"{number:>6} {row['received']:>9} {row['perceived']:>9} {row['gated']:>6} {row['dropped']:>8}")
    json.dump(found, sys.stdout)
    print()


if __name__ == "__main__":
    main()
