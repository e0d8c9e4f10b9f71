"""Clips of poses that are not split yet -> a data set folder that `fit` reads.

The source has a `dataset.toml` (see `data.pose_dataset`) and either a `clips.csv` with the columns
`path,label[,split,start_s,end_s,group]`, or class folders (`LABEL/*.npz`, or `train|val|test/LABEL/*.npz`).
"""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inkling.training.data import pose_dataset
from inkling.training.data.frame_dataset import Row
from inkling.training.data.pose_dataset import CLIPS_FILE, COLUMNS, DATASET_FILE, PoseDataset
from inkling.training.errors import DataError, Problem
from inkling.training.files import write_text
from inkling.training.prepare.source_rows import find_rows
from inkling.training.prepare.splits import TEST_SHARE, group_of, with_test_split

POSE_ENDINGS = frozenset({".npz"})


@dataclass(frozen=True, slots=True)
class PreparedPoses:
    """The data set as written, its rows, and a sentence on test clips that were drawn (else empty)."""

    dataset: PoseDataset
    rows: tuple[Row, ...]
    split: str


def prepare(source: Path | str, out: Path | str, *, test_share: float = TEST_SHARE) -> PreparedPoses:
    """Copy the clips of `source` into the folder `out`, with a split. Raises DataError with every problem found.

    test_share: the share to keep for testing where the source names no test clips; 0: none.
    """
    source, out = Path(source), Path(out)
    if not (source / DATASET_FILE).is_file():
        raise DataError([Problem(source / DATASET_FILE, None, "no such file; it names the skeleton and the fps")])
    split = with_test_split(find_rows(source, POSE_ENDINGS), test_share)
    if out.resolve() == source.resolve():
        raise DataError([Problem(out, None, "is the source itself; choose another folder to write")])
    for path in sorted({row.path for row in split.rows}):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / path, out / path)
    write_text(out / DATASET_FILE, (source / DATASET_FILE).read_text(encoding="utf-8"))
    write_text(out / CLIPS_FILE, _table(split.rows))
    return PreparedPoses(pose_dataset.read(out), split.rows, split.sentence)


def _table(rows: Sequence[Row]) -> str:
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        start = f"{row.start_s:.6g}" if row.start_s > 0 else ""
        end = "" if row.end_s == float("inf") else f"{row.end_s:.6g}"
        writer.writerow((row.path, row.label, row.split, start, end, group_of(row)))
    return table.getvalue()
