"""Preparing videos beside decoding them and nothing else, with the same processes.

    python -m tests.benchmarks.prepare VIDEOS [--workers N]

VIDEOS has class folders (or a `clips.csv`). Both sides start their workers before the clock does. Prints JSON as its
last line: decoded frames a second of both, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import av

from inkling.training.prepare.decode import Plan, prepare_one
from inkling.training.prepare.source_rows import VIDEO_ENDINGS, find_rows


def decode(video: Path) -> int:
    """Frames of a video, decoded by PyAV and thrown away."""
    with av.open(str(video)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        return sum(1 for _ in container.decode(video=0))


def prepare(arrays: Path, plan: Plan, video: Path) -> int:
    prepare_one(video, arrays, plan)
    return 0


def timed(work: Callable[[Path], int], videos: list[Path], workers: int) -> tuple[float, int]:
    """Seconds, and the sum of what `work` returned."""
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        list(pool.map(work, videos[:workers]))  # imports, before the clock starts
        begin = time.perf_counter()
        total = sum(pool.map(work, videos[workers:]))
        return time.perf_counter() - begin, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    videos = sorted({arguments.videos / row.path for row in find_rows(arguments.videos, VIDEO_ENDINGS)})
    plan = Plan(96, 128, "letterbox", 10.0)
    bare, prepared, frames = [], [], 0
    for _ in range(arguments.rounds):  # in turns, so that both meet the same neighbours
        seconds, frames = timed(decode, videos, arguments.workers)
        bare.append(seconds)
        with tempfile.TemporaryDirectory() as scratch:
            prepared.append(timed(partial(prepare, Path(scratch), plan), videos, arguments.workers)[0])
    rates = {"bare_frames_per_s": frames / min(bare), "prepare_frames_per_s": frames / min(prepared)}
    ratio = rates["prepare_frames_per_s"] / rates["bare_frames_per_s"]
    print(json.dumps({name: round(rate) for name, rate in rates.items()} | {"ratio": round(ratio, 3)}))


if __name__ == "__main__":
    main()
