"""`spans.csv` of a data set of poses: labels of parts of a clip.

`path,label,start_s,end_s`, a row for each part. `path` is a pose file of `clips.csv`, whose rows then have no label of
their own. Seconds are those of the file's `pts_s`; an empty cell is its beginning or its end. Time in no span has no
label, and adds nothing to a loss. `!fall` is anything but fall: all that is known of that time is that nobody falls.
"""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.training.errors import Problem
from inkling.training.labels import UNLABELLED, name_of, target_of

SPANS_FILE = "spans.csv"
SPAN_COLUMNS = ("path", "label", "start_s", "end_s")


@dataclass(frozen=True, slots=True)
class Span:
    """A label, or `!` and one, from `start_s` on and before `end_s`. row: line of `spans.csv`, 0 before that."""

    label: str
    start_s: float = -math.inf
    end_s: float = math.inf
    row: int = 0

    def covers(self, pts_s: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(T,) whether each of these times lies in it."""
        return np.asarray((pts_s >= self.start_s) & (pts_s < self.end_s))


def read_spans(directory: Path) -> tuple[dict[str, list[Span]], list[Problem]]:
    """The spans of each pose file of a folder, in order of time, and what is wrong with the table.

    Nothing of both where there is no such table.
    """
    table = directory / SPANS_FILE
    found: dict[str, list[Span]] = defaultdict(list)
    problems: list[Problem] = []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if sorted(reader.fieldnames or ()) != sorted(SPAN_COLUMNS):
                return {}, [Problem(table, 1, f"the header is {','.join(SPAN_COLUMNS)}")]
            for cells in reader:
                span = _span(cells, reader.line_num)
                if isinstance(span, Span):
                    found[str(cells["path"]).strip()].append(span)
                else:
                    problems.append(Problem(table, reader.line_num, span))
    except FileNotFoundError:
        return {}, []
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        return {}, [Problem(table, None, str(error))]
    for spans in found.values():
        spans.sort(key=lambda span: span.start_s)
        for before, span in pairwise(spans):
            if span.start_s < before.end_s:
                problems.append(Problem(table, span.row, f"overlaps the span of line {before.row}"))
    return dict(found), problems


def step_targets(spans: Sequence[Span], pts_s: NDArray[np.float64], index: Mapping[str, int]) -> NDArray[np.int64]:
    """(T,) the target of each step, from the times (T,) of the frames that the steps see."""
    targets = np.full(len(pts_s), UNLABELLED)
    for span in spans:
        targets[span.covers(pts_s)] = target_of(span.label, index)
    return targets


def seconds(text: str, default: float) -> float | None:
    """A time in seconds, the default for an empty cell, None for what is no finite number."""
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _span(cells: Mapping[str | Any, str | Any], line: int) -> Span | str:
    """A row of the table, or what is wrong with it."""
    if None in cells or None in cells.values():
        return "has not as many fields as the header"
    row = {name: value.strip() for name, value in cells.items()}
    if not name_of(row["label"]):
        return "a span needs a label, or ! and one; time without a label needs no span"
    start_s, end_s = seconds(row["start_s"], -math.inf), seconds(row["end_s"], math.inf)
    if start_s is None or end_s is None or not start_s < end_s:
        return f"start_s {row['start_s']!r} and end_s {row['end_s']!r} are no span"
    return Span(row["label"], start_s, end_s, line)
