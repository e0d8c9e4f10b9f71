"""Films made into something else by several processes: whatever is made already is left as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, TypeVar

from inkling.training.errors import DataError, Problem
from inkling.training.prepare.content_cache import BrokenVideo

Broken = Literal["fail", "skip"]
VideoDone = Callable[[int, int, str], None]
"""Receives recordings done, recordings in all, and what there is to say about the last one (mostly nothing)."""
PlanT = TypeVar("PlanT")


@dataclass(frozen=True, slots=True)
class Made:
    """names: what was made of each film, a file's name. made: how many of them now, of `frames` frames."""

    names: dict[str, str]
    made: int
    frames: int
    skipped: tuple[Problem, ...]


def make_all(
    make: Callable[[Path, Path, PlanT], tuple[str, int]],
    source: Path,
    paths: Sequence[str],
    out: Path,
    plan: PlanT,
    *,
    broken: Broken,
    workers: int | None,
    progress: VideoDone,
) -> Made:
    """Call `make(film, out, plan)` for each film; it returns the name of what it made in `out`, and the frames made
    now, none where that was made already. It raises BrokenVideo for a film that cannot be decoded.

    broken: whether such a film ends it, after all others were tried, or is left out. workers: processes, by default one
    per core. Raises DataError with every broken film.
    """
    out.mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    problems: list[Problem] = []
    made = frames = 0
    workers = workers or len(os.sched_getaffinity(0))
    # spawned, because torch's threads do not survive a fork
    with ProcessPoolExecutor(min(workers, len(paths)), get_context("spawn")) as pool:
        work = {pool.submit(make, source / path, out, plan): path for path in paths}
        try:
            for done, future in enumerate(as_completed(work), 1):
                path, said = work[future], ""
                try:
                    names[path], count = future.result()
                    made, frames = made + (count > 0), frames + count
                except BrokenVideo as error:
                    problems.append(Problem(source / path, None, str(error)))
                    said = f"{path}: {error}"
                progress(done, len(paths), said)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    problems.sort(key=lambda problem: problem.file)
    if not names or (problems and broken == "fail"):
        raise DataError(problems)
    return Made(names, made, frames, tuple(problems))
