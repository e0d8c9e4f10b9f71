"""The data set format on disk: the one that users bring their own clips in.

A folder with

- `dataset.toml`: `skeleton` (a name that `models.skeletons` knows, or a new name together with `joints`, `root` and
  optionally `pairs`, `bones`, all by joint name, and `dimensions`), `fps`, and optionally `about` and `terms`, one
  sentence each, which end up on the card of every bundle trained on it;
- `clips.csv`: `path,label,split[,start_s,end_s,group,video]`, a row per clip. `split` is train, val or test. An empty
  label means unlabelled (train only). `start_s` and `end_s` cut a span out of a longer recording, so the same path may
  occur several times. Clips of one `group` (a person, a video) never lie on both sides of a validation split; without
  the column each recording is its own group. `video` names the film of the same timing, for networks that see the
  picture beside the joints (see `data.pictures`);
- optionally `spans.csv`: labels of parts of a clip (see `data.spans`);
- pose files beside it: `.npz` with `keypoints` (T, J, D) or (T, J, D + 1), the last column a confidence, and optionally
  `pts_s` (T,), seconds. Opened without pickle. A joint is missing where its confidence is 0, or where all its
  coordinates are NaN.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Sequence
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
from inkling.training.data.spans import SPANS_FILE, Span, read_spans, seconds
from inkling.training.errors import DataError, Problem
from inkling.training.labels import name_of
from inkling.training.recipe.sections import Occluded

DATASET_FILE = "dataset.toml"
CLIPS_FILE = "clips.csv"
COLUMNS = ("path", "label", "split", "start_s", "end_s", "group")
POSE_COLUMNS = (*COLUMNS, "video")
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
    label: None where unlabelled, and where the clip has spans. row: line of `clips.csv`.
    """

    path: str
    row: int
    label: str | None
    split: Split
    group: str
    keypoints: Array
    pts_s: NDArray[np.float64]
    spans: tuple[Span, ...] = ()
    """The labels of its parts, in order of time: those of its file that have a frame in it."""
    video: str = ""
    """The film of the same timing, inside the data set's folder; empty: none is named."""

    @property
    def names(self) -> set[str]:
        """The labels that it has or excludes."""
        return {name_of(label) for label in (self.label, *(span.label for span in self.spans)) if label}


@dataclass(frozen=True, slots=True)
class PoseDataset:
    """A whole data set in memory."""

    directory: Path
    skeleton: Skeleton
    fps: float
    about: str
    terms: str
    clips: tuple[Clip, ...]


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


def header_problem(
    columns: Sequence[str], required: Sequence[str] = REQUIRED_COLUMNS, known: Sequence[str] = COLUMNS
) -> str | None:
    """What is wrong with the header of a `clips.csv`; None: nothing."""
    missing = [name for name in required if name not in columns]
    unknown = [str(name) for name in columns if name not in known]
    if not missing and not unknown and len(set(columns)) == len(columns):
        return None
    what = f"no column {missing[0]}" if missing else f"column {(unknown or columns)[0]!r} is not known"
    return f"{what}; the header is {','.join(required)}[,…]"


class _Reader:
    """Reads the clips of one folder and collects what is wrong instead of stopping at it."""

    def __init__(self, directory: Path, skeleton: Skeleton, fps: float, occluded: Occluded) -> None:
        self.directory, self.skeleton, self.fps, self.occluded = directory, skeleton, fps, occluded
        self._spans, self.problems = read_spans(directory)
        self._met: set[Span] = set()  # those that a clip has a frame of
        self._files: dict[str, tuple[Array, NDArray[np.float64]] | None] = {}

    def clips(self) -> list[Clip]:
        table = self.directory / CLIPS_FILE
        try:
            with table.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.DictReader(file, strict=True)
                columns = list(reader.fieldnames or ())
                wrong = header_problem(columns, known=POSE_COLUMNS)
                if wrong is not None:
                    self.problems.append(Problem(table, 1, wrong))
                    return []
                clips = [self._clip(row, reader.line_num) for row in reader]
        except (OSError, csv.Error, UnicodeDecodeError) as error:
            self.problems.append(Problem(table, None, _sentence(error)))
            return []
        if not clips:
            self.problems.append(Problem(table, None, "has no clips"))
        elif not self.problems:
            self._refuse_unmet()
        return [clip for clip in clips if clip is not None]

    def _refuse_unmet(self) -> None:
        table = self.directory / SPANS_FILE
        for path, spans in self._spans.items():
            known = path in self._files
            reason = f"{path}: no clip has a frame in this span" if known else f"{path}: not in {CLIPS_FILE}"
            self.problems += [Problem(table, span.row, reason) for span in spans if span not in self._met]

    def _clip(self, row: dict[str | None, Any], line: int) -> Clip | None:
        if None in row or None in row.values():
            self._refuse(line, "has not as many fields as the header")
            return None
        cells = {str(name): value.strip() for name, value in row.items()}
        path, label, split = cells["path"], cells["label"], _split(cells["split"])
        if split is None:
            self._refuse(line, f"split {cells['split']!r} is not one of {', '.join(get_args(Split))}")
        elif not label and split != "train" and path not in self._spans:
            self._refuse(line, f"a clip of the {split} split needs a label")
        if label and path in self._spans:
            self._refuse(line, f"{path} has labels in {SPANS_FILE}; the label here stays empty")
        start_s = seconds(cells.get("start_s", ""), -np.inf)
        end_s = seconds(cells.get("end_s", ""), np.inf)
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
        group, video = cells.get("group") or path, cells.get("video", "")
        if Path(video).is_absolute() or ".." in Path(video).parts:
            self._refuse(line, "a video must lie inside the data set's folder")
        pts_s = pts_s[inside]
        spans = tuple(span for span in self._spans.get(path, ()) if span.covers(pts_s).any())
        self._met.update(spans)
        return Clip(path, line, label or None, split, group, keypoints[inside], pts_s, spans, video)

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


def _sentence(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file"
    return str(error) or type(error).__name__
