"""The data set format on disk: the one that users bring their own clips in.

A folder with

- `dataset.toml`: `skeleton` (a name that `models.skeletons` knows, or a new name together with `joints`, `root` and
  optionally `pairs`, `bones`, all by joint name, and `dimensions`), `fps`, and optionally `about` and `terms`, one
  sentence each, which end up on the card of every bundle trained on it;
- `clips.csv`: `path,label,split[,start_s,end_s,group]`, a row per clip. `split` is train, val or test. An empty label
  means unlabelled (train only). `start_s` and `end_s` cut a span out of a longer recording, so the same path may occur
  several times. Clips of one `group` (a person, a video) never lie on both sides of a validation split; without the
  column each recording is its own group;
- pose files beside it: `.npz` with `keypoints` (T, J, D) or (T, J, D + 1), the last column a confidence, and optionally
  `pts_s` (T,), seconds. Opened without pickle. A joint is missing where its confidence is 0, or where all its
  coordinates are NaN.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inkling.models import skeletons
from inkling.models.errors import SkeletonError
from inkling.models.problems import first_problem
from inkling.models.skeletons import Skeleton
from inkling.training.data.pose_file import Array, load
from inkling.training.errors import DataError, Problem
from inkling.training.recipe.sections import Occluded

DATASET_FILE = "dataset.toml"
CLIPS_FILE = "clips.csv"
COLUMNS = ("path", "label", "split", "start_s", "end_s", "group")
REQUIRED_COLUMNS = COLUMNS[:3]

Split = Literal["train", "val", "test"]


class DatasetFile(BaseModel):
    """`dataset.toml`. Without `joints` the skeleton must be one that Inkling knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    skeleton: str
    fps: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    dimensions: Literal[2, 3] | None = None
    joints: tuple[str, ...] | None = None
    root: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    bones: tuple[tuple[str, str], ...] = ()
    about: str = ""
    terms: str = ""

    def body(self) -> Skeleton:
        """The skeleton that the file describes. Raises SkeletonError or ValueError (pydantic's included)."""
        if self.joints is None:
            if self.root or self.pairs or self.bones:
                raise ValueError("root, pairs and bones belong to joints, which are not given")
            known = skeletons.get(self.skeleton)
            if self.dimensions not in (None, known.dimensions):
                raise ValueError(f"skeleton {known.name} has {known.dimensions} dimensions, not {self.dimensions}")
            return known
        index = {joint: i for i, joint in enumerate(self.joints)}
        unknown = {j for j in (*self.root, *sum(self.pairs + self.bones, ())) if j not in index}
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))}: not among joints")
        return Skeleton(
            name=self.skeleton,
            joints=self.joints,
            dimensions=self.dimensions or 2,
            root=tuple(index[joint] for joint in self.root),
            pairs=tuple((index[a], index[b]) for a, b in self.pairs),
            bones=tuple((index[a], index[b]) for a, b in self.bones),
        )


@dataclass(frozen=True, slots=True)
class Clip:
    """One row of `clips.csv` with its poses.

    keypoints: (T, J, D + 1) float32, T >= 2; missing joints are all zero. pts_s: (T,) seconds, never decreasing.
    label: None where unlabelled. row: line of `clips.csv`.
    """

    path: str
    row: int
    label: str | None
    split: Split
    group: str
    keypoints: Array
    pts_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PoseDataset:
    """A whole data set in memory."""

    directory: Path
    skeleton: Skeleton
    fps: float
    about: str
    terms: str
    clips: tuple[Clip, ...]


@dataclass(frozen=True, slots=True)
class NewClip:
    """A clip to be written to `poses/NAME.npz`. keypoints: (T, J, D) or (T, J, D + 1). pts_s: (T,) seconds."""

    name: str
    keypoints: Array
    label: str
    split: Split
    group: str = ""
    pts_s: NDArray[np.float64] | None = None


def read(directory: Path | str, occluded: Occluded = "missing") -> PoseDataset:
    """Read and check a data set folder. Raises DataError with every problem found.

    occluded: what a joint with confidence 0 but finite coordinates other than zero is: `missing`, or a guess of the
    annotators worth to `keep` (its confidence becomes 1). Penn Action has such joints.
    """
    dataset, problems = inspect(directory, occluded)
    if dataset is None:
        raise DataError(problems)
    return dataset


def inspect(directory: Path | str, occluded: Occluded = "missing") -> tuple[PoseDataset | None, list[Problem]]:
    """As `read`, but returns the problems, so that those of several data sets can be shown at once."""
    directory = Path(directory)
    try:
        about = DatasetFile.model_validate(tomllib.loads((directory / DATASET_FILE).read_text(encoding="utf-8")))
        skeleton = about.body()
    except ValidationError as error:
        return None, [Problem(directory / DATASET_FILE, None, first_problem(error))]
    except (OSError, SkeletonError, ValueError) as error:
        return None, [Problem(directory / DATASET_FILE, None, _sentence(error))]
    reader = _Reader(directory, skeleton, about.fps, occluded)
    clips = reader.clips()
    if reader.problems:
        return None, reader.problems
    return PoseDataset(directory, skeleton, about.fps, about.about, about.terms, tuple(clips)), []


def write(directory: Path | str, about: DatasetFile, clips: Iterable[NewClip]) -> int:
    """Write a data set folder that `read` accepts; returns the number of clips.

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
    count = 0
    for clip in clips:
        path = f"poses/{clip.name}.npz"
        arrays: dict[str, Any] = {"keypoints": clip.keypoints}
        if clip.pts_s is not None:
            arrays["pts_s"] = clip.pts_s
        np.savez_compressed(directory / path, allow_pickle=False, **arrays)
        writer.writerow((path, clip.label, clip.split, clip.group))
        count += 1
    scratch = table.with_suffix(".partial")
    scratch.write_text(rows.getvalue(), encoding="utf-8")
    scratch.replace(table)
    return count


def header_problem(columns: Sequence[str], required: Sequence[str] = REQUIRED_COLUMNS) -> str | None:
    """What is wrong with the header of a `clips.csv`; None: nothing."""
    missing = [name for name in required if name not in columns]
    unknown = [str(name) for name in columns if name not in COLUMNS]
    if not missing and not unknown and len(set(columns)) == len(columns):
        return None
    what = f"no column {missing[0]}" if missing else f"column {(unknown or columns)[0]!r} is not known"
    return f"{what}; the header is {','.join(required)}[,…]"


class _Reader:
    """Reads the clips of one folder and collects what is wrong instead of stopping at it."""

    def __init__(self, directory: Path, skeleton: Skeleton, fps: float, occluded: Occluded) -> None:
        self.directory, self.skeleton, self.fps, self.occluded = directory, skeleton, fps, occluded
        self.problems: list[Problem] = []
        self._files: dict[str, tuple[Array, NDArray[np.float64]] | None] = {}

    def clips(self) -> list[Clip]:
        table = self.directory / CLIPS_FILE
        try:
            with table.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                columns = list(reader.fieldnames or ())
                wrong = header_problem(columns)
                if wrong is not None:
                    self.problems.append(Problem(table, 1, wrong))
                    return []
                clips = [self._clip(row, reader.line_num) for row in reader]
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            self.problems.append(Problem(table, None, _sentence(error)))
            return []
        if not clips:
            self.problems.append(Problem(table, None, "has no clips"))
        return [clip for clip in clips if clip is not None]

    def _clip(self, row: dict[str | None, Any], line: int) -> Clip | None:
        if None in row or None in row.values():
            self._refuse(line, "has not as many fields as the header")
            return None
        cells = {str(name): value.strip() for name, value in row.items()}
        path, label, split = cells["path"], cells["label"], _split(cells["split"])
        if split is None:
            self._refuse(line, f"split {cells['split']!r} is not one of {', '.join(get_args(Split))}")
        elif not label and split != "train":
            self._refuse(line, f"a clip of the {split} split needs a label")
        start_s = _seconds(cells.get("start_s", ""), -np.inf)
        end_s = _seconds(cells.get("end_s", ""), np.inf)
        if start_s is None or end_s is None or not start_s < end_s:
            self._refuse(line, f"start_s {cells.get('start_s', '')!r} and end_s {cells.get('end_s', '')!r} are no span")
            span = None
        else:
            span = (start_s, end_s)
        poses = self._poses(path, line)
        if poses is None or split is None or span is None:
            return None
        keypoints, pts_s = poses
        inside = (pts_s >= span[0]) & (pts_s < span[1])
        if inside.sum() < 2:
            self._refuse(line, f"{path}: {inside.sum()} frames, a clip has at least two")
            return None
        group = cells.get("group") or path
        return Clip(path, line, label or None, split, group, keypoints[inside], pts_s[inside])

    def _refuse(self, line: int, reason: str) -> None:
        self.problems.append(Problem(self.directory / CLIPS_FILE, line, reason))

    def _poses(self, path: str, line: int) -> tuple[Array, NDArray[np.float64]] | None:
        """Poses of a file, read once however many rows name it; a broken one is reported for its first row."""
        if path not in self._files:
            try:
                if not path or Path(path).is_absolute() or ".." in Path(path).parts:
                    raise ValueError("a path must lie inside the data set's folder")
                self._files[path] = load(self.directory / path, self.skeleton, self.fps, self.occluded)
            except (OSError, ValueError) as error:
                self._files[path] = None
                self._refuse(line, f"{path}: {_sentence(error)}")
        return self._files[path]


def _split(text: str) -> Split | None:
    return next((split for split in get_args(Split) if split == text), None)


def _seconds(text: str, default: float) -> float | None:
    """A time in seconds, the default for an empty cell, None for what is no finite number."""
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _sentence(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return str(error) or type(error).__name__


def _toml(about: DatasetFile) -> str:
    """`dataset.toml` of what `about` sets; TOML strings and arrays of them are written as JSON writes them."""
    fields = about.model_dump(mode="json", exclude_defaults=True)
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in fields.items())
