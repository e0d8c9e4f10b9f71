"""A data set folder of poses, written: what `inkling train prepare` makes of downloads and recordings."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.training.data.pose_dataset import CLIPS_FILE, DATASET_FILE, DatasetFile, Split
from inkling.training.data.pose_file import Array
from inkling.training.data.spans import SPAN_COLUMNS, SPANS_FILE, Span
from inkling.training.errors import DataError, Problem


@dataclass(frozen=True, slots=True)
class NewClip:
    """A clip to be written to `poses/NAME.npz`. keypoints: (T, J, D) or (T, J, D + 1). pts_s: (T,) seconds."""

    name: str
    keypoints: Array
    label: str
    split: Split
    group: str = ""
    pts_s: NDArray[np.float64] | None = None
    spans: tuple[Span, ...] = ()
    """Labels within the clip, which then has an empty `label`."""


def write(directory: Path | str, about: DatasetFile, clips: Iterable[NewClip]) -> int:
    """Write a data set folder that `pose_dataset.read` accepts; returns the number of clips.

    `clips.csv` is written last, so a folder that has one is complete. Raises DataError when the folder has one already.
    """
    directory = Path(directory)
    table = directory / CLIPS_FILE
    if table.exists():
        raise DataError([Problem(table, None, "exists already; choose another folder or remove it")])
    (directory / "poses").mkdir(parents=True, exist_ok=True)
    (directory / DATASET_FILE).write_text(_toml(about), encoding="utf-8")
    rows = io.StringIO(newline="")
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(("path", "label", "split", "group"))
    spans = io.StringIO(newline="")
    span_writer = csv.writer(spans, lineterminator="\n")
    span_writer.writerow(SPAN_COLUMNS)
    count = 0
    for clip in clips:
        path = f"poses/{clip.name}.npz"
        arrays: dict[str, Any] = {"keypoints": clip.keypoints}
        if clip.pts_s is not None:
            arrays["pts_s"] = clip.pts_s
        np.savez_compressed(directory / path, allow_pickle=False, **arrays)
        writer.writerow((path, clip.label, clip.split, clip.group))
        span_writer.writerows((path, span.label, _time(span.start_s), _time(span.end_s)) for span in clip.spans)
        count += 1
    if spans.getvalue().count("\n") > 1:
        (directory / SPANS_FILE).write_text(spans.getvalue(), encoding="utf-8")
    scratch = table.with_suffix(".partial")
    scratch.write_text(rows.getvalue(), encoding="utf-8")
    scratch.replace(table)
    return count


def _time(seconds: float) -> str:
    """A time as a table has it; empty: the clip's own beginning or end."""
    return f"{seconds:.6g}" if math.isfinite(seconds) else ""


def _toml(about: DatasetFile) -> str:
    """`dataset.toml` of what `about` sets; TOML strings and arrays of them are written as JSON writes them."""
    fields = about.model_dump(mode="json", exclude_defaults=True)
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in fields.items())
