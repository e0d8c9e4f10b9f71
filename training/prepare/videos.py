"""Videos -> prepared clips: frames at the model's size and rate, or a frozen extractor's features of them.

The source is a folder of class folders (`LABEL/*.mp4`, or `train|val|test/LABEL/*.mp4`), or has a `clips.csv` with the
columns `path,label[,split,start_s,end_s,group]`; several rows of one path are segments of one recording. Where it
names no test clips, some are drawn (`prepare.splits`).

Every array is keyed by what it is made of: the file's content, size, rate and preprocessing, and the extractor. So a
killed preparation continues, an unchanged one does nothing, and no array is ever reused for something else. Frames are
picked by presentation time with the service's own resampler, and fitted by the service's own `fit_image`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inkling.models.networks import FrameConfig
from inkling.training.data.frame_dataset import ClipsFile, Row
from inkling.training.data.pose_dataset import CLIPS_FILE, DATASET_FILE
from inkling.training.errors import Problem
from inkling.training.files import write_text
from inkling.training.networks.weights import extractor_id
from inkling.training.prepare.decode import Plan, prepare_one
from inkling.training.prepare.source_rows import VIDEO_ENDINGS, find_rows
from inkling.training.prepare.splits import TEST_SHARE, group_of, with_test_split
from inkling.training.prepare.workers import Broken, VideoDone, make_all


def plan_of(frames: FrameConfig, rate_hz: float) -> Plan:
    """What to prepare for a network: frames, or features where its backbone is frozen. Raises WeightsError."""
    size = (frames.height, frames.width, frames.fit, rate_hz)
    if not frames.frozen:
        return Plan(*size)
    return Plan(*size, extractor_id(frames), frames.model_dump_json())


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a preparation did."""

    recordings: int
    made: int
    frames: int
    """Frames kept of those made now."""
    skipped: tuple[Problem, ...]
    rows: tuple[Row, ...]
    """The clips as written: their files in the source, their labels and splits."""
    split: str = ""
    """A sentence on test clips that were drawn; empty where the source named them."""


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
    test_share: float = TEST_SHARE,
    progress: VideoDone = lambda done, total, what: None,
) -> Prepared:
    """Prepare all recordings of `source` into the folder `out`.

    rows: instead of what `source` says, with its splits. files: where arrays lie, relative to `out`. broken: whether a
    video that cannot be decoded ends it, after all others were tried, or is left out. workers: processes, by default
    one per core. test_share: the share to keep for testing where `source` names no test clips; 0: none.
    Raises DataError with every problem found.
    """
    source, out = Path(source), Path(out)
    whole = find_rows(source, VIDEO_ENDINGS) if rows is None else rows
    paths = sorted({row.path for row in whole})
    arrays = out / files
    done = make_all(prepare_one, source, paths, arrays, plan, broken=broken, workers=workers, progress=progress)
    names = done.names
    dim = None
    if plan.extractor:
        dim = int(np.load(arrays / next(iter(names.values())), mmap_mode="r").shape[1])
    description = ClipsFile(
        kind="frames" if dim is None else "features",
        rate_hz=plan.rate_hz,
        height=plan.height,
        width=plan.width,
        fit=plan.fit,
        dim=dim,
        extractor=plan.extractor,
        files=files,
        about=about,
        terms=terms,
    )
    decodable = [row for row in whole if row.path in names]
    split = with_test_split(decodable, test_share if rows is None else 0)
    write_description(out, description, [(names[row.path], row) for row in split.rows])
    return Prepared(len(names), done.made, done.frames, done.skipped, split.rows, split.sentence)


def summary(done: Prepared, out: Path) -> str:
    """A preparation in a line."""
    skipped = f", {len(done.skipped)} broken ones left out" if done.skipped else ""
    return f"{done.recordings} recordings in {out}, {done.made} of them new{skipped}"


def write_description(out: Path, about: ClipsFile, rows: Sequence[tuple[str, Row]]) -> None:
    """Write `dataset.toml` and, last, `clips.csv`: rows with the name of their array."""
    fields = about.model_dump(mode="json", exclude_defaults=True)
    toml = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in fields.items())
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("path", "label", "split", "start_s", "end_s", "group"))
    for name, row in rows:
        end = "" if row.end_s == float("inf") else f"{row.end_s:.6g}"
        writer.writerow((name, row.label, row.split, f"{row.start_s:.6g}", end, group_of(row)))
    write_text(out / DATASET_FILE, toml)
    write_text(out / CLIPS_FILE, table.getvalue())
