"""Whether the server's memory stays flat: looped sources, for as long as you like.

    python -m tests.benchmarks.soak [--seconds 3600] [--sources 2] [--bundle fall-watch] [--bundles DIRECTORY]

Starts a real server with a fresh state directory, adds looped file sources and reads the resident memory of the server
and of its fetching processes once a second. One JSON object is the last line: the mean of the first and of the last
sixth (of an hour: ten minutes), without the first seconds, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.benchmarks.proc import children, resident_kib
from tests.benchmarks.processes import service
from tests.service.sources.cameras import make_video

WARM_UP_S = 20.0


def resident_mib(server: int) -> tuple[float, float]:
    """Of the server's process, and of its fetching children together."""
    own, *fetching = (resident_kib(process) / 1024 for process in (server, *children(server)))
    return own, sum(fetching)


def measure(seconds: float, sources: int, bundle: str, flags: list[str]) -> dict[str, Any]:
    """Run it, and return the figures."""
    with tempfile.TemporaryDirectory() as directory:
        make_video(Path(directory) / "loop.mp4", frames=90, rate=15, codec="libx264", size=(240, 320))
        with service("--source-directories", directory, "--state-dir", f"{directory}/state", *flags) as (url, pid):
            rows = f"{url}/v1/sources"
            for _ in range(sources):
                wanted = {"url": "file:loop.mp4", "bundle": bundle, "loop": True}
                httpx.post(rows, json=wanted).raise_for_status()
            time.sleep(WARM_UP_S)
            found = []
            end_s = time.monotonic() + seconds
            while time.monotonic() < end_s:
                found.append(resident_mib(pid))
                time.sleep(1)
            states = [row["state"] for row in httpx.get(rows).json()]
            frames = sum(row["frames"] for row in httpx.get(rows).json())
    part = max(len(found) // 6, 1)
    memory = np.array(found)
    first, last = memory[:part].mean(axis=0), memory[-part:].mean(axis=0)
    return {
        "seconds": seconds,
        "sources": states,
        "frames": frames,
        "server_first_mib": round(float(first[0]), 1),
        "server_last_mib": round(float(last[0]), 1),
        "server_ratio": round(float(last[0] / first[0]), 4),
        "fetching_first_mib": round(float(first[1]), 1),
        "fetching_last_mib": round(float(last[1]), 1),
        "ratio": round(float(last.sum() / first.sum()), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--sources", type=int, default=2)
    parser.add_argument("--bundle", default="fall-watch")
    parser.add_argument("--bundles", help="directory with more bundles")
    args = parser.parse_args()
    flags = ["--bundles", args.bundles] if args.bundles else []
    sys.stdout.write(json.dumps(measure(args.seconds, args.sources, args.bundle, flags)) + "\n")


if __name__ == "__main__":
    main()
