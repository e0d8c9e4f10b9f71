"""Videos -> prepared clips: frames at the model's size and rate, or a frozen extractor's features of them.

The source is a folder of class folders (`LABEL/*.mp4`, or `train|val|test/LABEL/*.mp4`), or has a `clips.csv` with the
columns `path,label[,split,start_s,end_s,group]`; several rows of one path are segments of one recording.

Every array is keyed by what it is made of: the file's content, size, rate and preprocessing, and the extractor. So a
killed preparation continues, an unchanged one does nothing, and no array is ever reused for something else. Frames are
picked by presentation time with the service's own resampler, and fitted by the service's own `fit_image`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.clock import Resampler
from models.errors import VideoError
from models.networks import FrameConfig
from models.resize import PIXELS_VERSION, Image, fit_image
from models.video import VideoReader, to_rgb
from training.clips import ClipsFile, Row, read_rows
from training.dataset import CLIPS_FILE, DATASET_FILE
from training.errors import DataError, Problem
from training.run import write_text

VIDEO_ENDINGS = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm", ".mpg", ".mpeg", ".m4v", ".ts", ".wmv", ".flv"})
Broken = Literal["fail", "skip"]
BATCH = 32
"""Frames that an extractor sees at once."""

Progress = Callable[[int, int, str], None]
"""Receives recordings done, recordings in all, and what there is to say about the last one (mostly nothing)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How videos become arrays. extractor: a frozen backbone, whose features are kept instead of frames."""

    frames: FrameConfig
    rate_hz: float
    extractor: str = ""

    @property
    def key(self) -> str:
        """Everything besides the video that decides the array."""
        f = self.frames
        size = f"{f.height}x{f.width}-{f.fit}-{self.rate_hz!r}-pixels{PIXELS_VERSION}"
        return f"{size}-{self.extractor}" if self.extractor else size


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a preparation did."""

    recordings: int
    made: int
    frames: int
    """Frames decoded for those made now."""
    skipped: tuple[Problem, ...]


def prepare(
    source: Path | str,
    out: Path | str,
    plan: Plan,
    *,
    rows: Sequence[Row] | None = None,
    files: str = "arrays",
    broken: Broken = "fail",
    workers: int | None = None,
    about: str = "",
    terms: str = "",
    progress: Progress = lambda done, total, what: None,
) -> Prepared:
    """Prepare all recordings of `source` into the folder `out`.

    rows: instead of what `source` says. files: where arrays lie, relative to `out`. broken: whether a video that cannot
    be decoded ends it, after all others were tried, or is left out. workers: processes, by default one per core.
    Raises DataError with every problem found.
    """
    source, out = Path(source), Path(out)
    rows = find_rows(source) if rows is None else rows
    paths = sorted({row.path for row in rows})
    arrays = out / files
    arrays.mkdir(parents=True, exist_ok=True)
    names: dict[str, str] = {}
    problems: list[Problem] = []
    made = frames = 0
    workers = workers or len(os.sched_getaffinity(0))
    # spawned, because torch's threads do not survive a fork
    with ProcessPoolExecutor(min(workers, len(paths)), get_context("spawn")) as pool:
        work = {pool.submit(_one, source / path, arrays, plan): path for path in paths}
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
    dim = None
    if plan.extractor:
        dim = int(np.load(arrays / next(iter(names.values())), mmap_mode="r").shape[1])
    description = ClipsFile(
        kind="frames" if dim is None else "features",
        rate_hz=plan.rate_hz,
        height=plan.frames.height,
        width=plan.frames.width,
        fit=plan.frames.fit,
        dim=dim,
        extractor=plan.extractor,
        files=files,
        about=about,
        terms=terms,
    )
    write_description(out, description, [(names[row.path], row) for row in rows if row.path in names])
    return Prepared(len(names), made, frames, tuple(problems))


def write_description(out: Path, about: ClipsFile, rows: Sequence[tuple[str, Row]]) -> None:
    """Write `dataset.toml` and, last, `clips.csv`: rows with the name of their array."""
    fields = about.model_dump(mode="json", exclude_defaults=True)
    toml = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in fields.items())
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("path", "label", "split", "start_s", "end_s", "group"))
    for name, row in rows:
        end = "" if row.end_s == float("inf") else f"{row.end_s:.6g}"
        writer.writerow((name, row.label, row.split, f"{row.start_s:.6g}", end, row.group or row.path))
    write_text(out / DATASET_FILE, toml)
    write_text(out / CLIPS_FILE, table.getvalue())


def find_rows(source: Path) -> list[Row]:
    """What a folder of videos says about itself. Raises DataError."""
    table = source / CLIPS_FILE
    if table.exists():
        rows, problems = read_rows(table, ("path", "label"))
        problems += [
            Problem(table, row.line, f"{row.path}: no such file") for row in rows if not (source / row.path).is_file()
        ]
        if problems:
            raise DataError(problems)
        return rows
    found: list[Row] = []
    for path in sorted(source.glob("**/*")):
        parts = path.relative_to(source).parts
        if path.suffix.lower() not in VIDEO_ENDINGS or len(parts) < 2:
            continue
        split = parts[0] if parts[0] in ("train", "val", "test") and len(parts) > 2 else "train"
        label = parts[1] if len(parts) > 2 and split == parts[0] else parts[0]
        found.append(Row.model_validate({"line": 0, "path": "/".join(parts), "label": label, "split": split}))
    if not found:
        raise DataError([Problem(source, None, f"has neither {CLIPS_FILE} nor videos in class folders")])
    return found


class BrokenVideo(Exception):
    """A video that cannot be decoded; its text says why."""


def decoded(path: Path, plan: Plan) -> Iterator[Image]:
    """The frames of a video that the model would step on, fitted. Raises BrokenVideo."""
    resampler = Resampler(plan.rate_hz, "hold", float("inf"))
    frames, fitted = plan.frames, None
    try:
        with VideoReader(path, threads=1) as video:  # the other cores are busy with other videos
            for pts_s, frame in video:
                verdict = resampler.push(pts_s)
                if not verdict.steps:
                    continue  # never converted: much of the time goes into that
                if fitted is not None:
                    yield from [fitted] * (verdict.steps - 1)
                fitted = fit_image(to_rgb(frame), frames.height, frames.width, frames.fit)
                yield fitted
    except VideoError as error:
        raise BrokenVideo(str(error)) from error


def _one(video: Path, arrays: Path, plan: Plan) -> tuple[str, int]:
    """Prepare a recording unless that is done: (name of its array, frames decoded). Raises BrokenVideo."""
    try:
        with video.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
    except OSError as error:
        raise BrokenVideo(error.strerror or "cannot be read") from error
    content.update(plan.key.encode())
    name = f"{video.stem}-{content.hexdigest()[:24]}.npy"
    if (arrays / name).exists():
        return name, 0
    images = list(decoded(video, plan))
    array = _extractor(plan.frames)(images) if plan.extractor else np.stack(images)
    scratch = arrays / f"{name}.{os.getpid()}.partial"
    with scratch.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    scratch.replace(arrays / name)
    return name, len(images)


_EXTRACTORS: dict[str, Callable[[Sequence[Image]], NDArray[np.float32]]] = {}


def _extractor(frames: FrameConfig) -> Callable[[Sequence[Image]], NDArray[np.float32]]:
    """This process's network, built when first asked for."""
    key = frames.model_dump_json()
    if key not in _EXTRACTORS:
        import torch

        from models.networks import FrameFeatures
        from training.weights import begin_with

        torch.set_num_threads(1)  # one process per core
        network = FrameFeatures(frames, 1.0)
        begin_with(network, frames)
        _EXTRACTORS[key] = partial(_features, network.eval())
    return _EXTRACTORS[key]


def _features(network: Any, images: Sequence[Image]) -> NDArray[np.float32]:
    import torch

    parts = []
    with torch.no_grad():
        for start in range(0, len(images), BATCH):
            x = torch.from_numpy(np.stack(images[start : start + BATCH]))
            parts.append(network(x[:, None])[:, 0].numpy())
    return np.concatenate(parts).astype(np.float32)
