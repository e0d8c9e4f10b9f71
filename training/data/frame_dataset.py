"""Prepared clips of frames on disk: what `inkling train prepare videos` writes and `fit` reads.

A folder with

- `dataset.toml`: `kind` ("frames" or "features"), `rate_hz`, `height`, `width`, `fit`, for features also `dim` and
  `extractor` (a digest of backbone and weights), optionally `files` (where the arrays lie, relative to the folder) and
  `about` and `terms` for the card;
- `clips.csv`: `path,label,split[,start_s,end_s,group]` as for poses. Several rows of one path are segments of one
  recording: what lies before a segment is what the model has seen when it begins. Seconds count from the first frame;
- arrays, one per recording, a row per step at `rate_hz`: frames (T, H, W, 3) uint8 RGB, or features (T, dim) float32.
"""

from __future__ import annotations

import csv
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inkling.models.bundle.schema import FrameInput, Positive
from inkling.models.problems import first_problem
from inkling.models.resize import FitPolicy
from inkling.training.data.pose_dataset import CLIPS_FILE, DATASET_FILE, REQUIRED_COLUMNS, Split, header_problem
from inkling.training.errors import DataError, Problem


class ClipsFile(BaseModel):
    """`dataset.toml` of prepared clips."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["frames", "features"]
    rate_hz: Positive
    height: Annotated[int, Field(ge=8, le=4096)]
    width: Annotated[int, Field(ge=8, le=4096)]
    fit: FitPolicy = "letterbox"
    dim: Annotated[int, Field(ge=1)] | None = None
    extractor: str = ""
    files: str = "."
    about: str = ""
    terms: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.kind == "features") != (self.dim is not None and bool(self.extractor)):
            raise ValueError("features have dim and extractor, frames have neither")
        return self

    @property
    def input(self) -> FrameInput:
        return FrameInput(kind="frame", height=self.height, width=self.width, fit=self.fit)

    @property
    def row_shape(self) -> tuple[int, ...]:
        return (self.height, self.width, 3) if self.dim is None else (self.dim,)


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps [start, stop) of a recording. label: None where unlabelled. row: line of `clips.csv`."""

    start: int
    stop: int
    label: str | None
    row: int


@dataclass(frozen=True, slots=True)
class Recording:
    """One array (T, *row_shape), mapped copy-on-write, and its segments in order of time, which do not overlap."""

    path: str
    split: Split
    group: str
    steps: NDArray[Any]
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class ClipDataset:
    """A folder of prepared clips."""

    directory: Path
    about: ClipsFile
    recordings: tuple[Recording, ...]


def inspect(directory: Path | str) -> tuple[ClipDataset | None, list[Problem]]:
    """Read and check a folder of prepared clips; the problems instead where there are any."""
    directory = Path(directory)
    try:
        text = (directory / DATASET_FILE).read_text(encoding="utf-8")
        about = ClipsFile.model_validate(tomllib.loads(text))
    except ValidationError as error:
        return None, [Problem(directory / DATASET_FILE, None, first_problem(error))]
    except (OSError, ValueError) as error:
        return None, [Problem(directory / DATASET_FILE, None, str(error))]
    reader = _Reader(directory, about)
    recordings = tuple(reader.recordings())
    if reader.problems:
        return None, reader.problems
    return ClipDataset(directory, about, recordings), []


def read(directory: Path | str) -> ClipDataset:
    """As `inspect`. Raises DataError with every problem found."""
    dataset, problems = inspect(directory)
    if dataset is None:
        raise DataError(problems)
    return dataset


class Row(BaseModel):
    """A line of `clips.csv`, of prepared clips or of videos still to be prepared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    line: int
    path: Annotated[str, Field(min_length=1)]
    label: str
    split: Split = "train"
    start_s: float = 0.0
    end_s: float = float("inf")
    group: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not 0 <= self.start_s < self.end_s:  # also false for NaN
            raise ValueError(f"start_s {self.start_s:g} and end_s {self.end_s:g} are no span")
        if not self.label and self.split != "train":
            raise ValueError(f"a clip of the {self.split} split needs a label")
        if Path(self.path).is_absolute() or ".." in Path(self.path).parts:
            raise ValueError("a path must lie inside the data set's folder")
        return self


def read_rows(
    table: Path, required: tuple[str, ...] = REQUIRED_COLUMNS, labels: Mapping[str, str] = MappingProxyType({})
) -> tuple[list[Row], list[Problem]]:
    """The rows of a `clips.csv` and what is wrong with it. labels: of files whose rows have none."""
    rows: list[Row] = []
    problems: list[Problem] = []
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            wrong = header_problem(list(reader.fieldnames or ()), required)
            if wrong is not None:
                return [], [Problem(table, 1, wrong)]
            for cells in reader:
                row = row_of(cells, reader.line_num, labels)
                if isinstance(row, Row):
                    rows.append(row)
                else:
                    problems.append(Problem(table, reader.line_num, row))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        return [], [Problem(table, None, "no such file" if isinstance(error, FileNotFoundError) else str(error))]
    if not rows and not problems:
        problems.append(Problem(table, None, "has no clips"))
    return rows, problems


def row_of(cells: Mapping[str | Any, str | Any], line: int, labels: Mapping[str, str]) -> Row | str:
    """A row of a table, or what is wrong with it. labels: as in `read_rows`."""
    if None in cells or None in cells.values():
        return "has not as many fields as the header"
    given = {name: value.strip() for name, value in cells.items() if value.strip() or name == "label"}
    given["label"] = given.get("label") or labels.get(given.get("path", ""), "")
    try:
        return Row.model_validate({"line": line, **given})
    except ValidationError as error:
        return first_problem(error)


def array_file(path: Path) -> NDArray[Any]:
    """An array mapped copy-on-write: read when used, never written back. Raises OSError or ValueError."""
    return np.asarray(np.load(path, mmap_mode="c", allow_pickle=False))


class _Reader:
    """Reads a folder and collects what is wrong instead of stopping at it."""

    def __init__(self, directory: Path, about: ClipsFile) -> None:
        self.directory, self.about = directory, about
        self.problems: list[Problem] = []

    def recordings(self) -> Iterator[Recording]:
        rows, self.problems = read_rows(self.directory / CLIPS_FILE)
        by_path: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_path[row.path].append(row)
        for path, found in by_path.items():
            recording = self._recording(path, found)
            if recording is not None:
                yield recording

    def _recording(self, path: str, rows: list[Row]) -> Recording | None:
        first = rows[0]
        if any((row.split, row.group) != (first.split, first.group) for row in rows):
            self._refuse(rows[-1].line, f"{path}: all segments of a recording are of one split and one group")
            return None
        try:
            steps = array_file(self.directory / self.about.files / path)
        except (OSError, ValueError, EOFError) as error:
            what = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
            self._refuse(first.line, f"{path}: {what}")
            return None
        dtype = np.dtype(np.uint8 if self.about.kind == "frames" else np.float32)
        if steps.dtype != dtype or steps.shape[1:] != self.about.row_shape or not len(steps):
            wanted = f"{dtype} (T, {', '.join(map(str, self.about.row_shape))})"
            self._refuse(first.line, f"{path}: holds {steps.dtype} {steps.shape}, not {wanted}")
            return None
        segments = self._segments(path, rows, len(steps))
        return Recording(path, first.split, first.group or path, steps, segments) if segments else None

    def _segments(self, path: str, rows: list[Row], steps: int) -> tuple[Segment, ...] | None:
        """The segments of a recording of so many steps, in order of time; None where they are refused."""
        segments: list[Segment] = []
        for row in sorted(rows, key=lambda row: row.start_s):
            start, stop = (min(steps, self._step(time_s)) for time_s in (row.start_s, row.end_s))
            if stop - start < 2:
                self._refuse(row.line, f"{path}: {max(0, stop - start)} steps, a clip has at least two")
                return None
            if segments and start < segments[-1].stop:
                self._refuse(row.line, f"{path}: overlaps the segment of line {segments[-1].row}")
                return None
            segments.append(Segment(start, stop, row.label or None, row.line))
        return tuple(segments)

    def _step(self, time_s: float) -> int:
        """The first step at or after a time; a step may be half a millisecond early, as times are rounded in files."""
        ticks = (time_s - 5e-4) * self.about.rate_hz
        return max(0, int(np.ceil(ticks))) if np.isfinite(ticks) else 1 << 60

    def _refuse(self, line: int, reason: str) -> None:
        self.problems.append(Problem(self.directory / CLIPS_FILE, line, reason))
