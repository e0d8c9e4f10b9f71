"""Penn Action (Zhang, Zhu, Derpanis, ICCV 2013) -> data set format.

Official layout: `labels/0001.mat` … `2326.mat`, in the download's `.tar.gz`, in a `.zip` of the labels, or unpacked.
Each file has `action`, `x`, `y` and `visibility` (T, 13), `train` (1, else -1) and `dimensions` (height, width, T).
Invisible joints keep their guessed positions with confidence 0 (see `pose_dataset.read`, `occluded`).

Two habits of the files are undone, so that the poses look like everybody else's:
- left and right are the viewer's for a body that faces the camera, that is swapped throughout (in every frontal clip
  of jumping_jacks the "left" shoulder has the smaller x, in every one seen from behind the larger);
- a joint that nobody placed (9 % of all, up to 40 % in some classes) stands in the image's corner: it becomes zeros.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pose_dataset import DatasetFile
from inkling.training.data.pose_file import Array
from inkling.training.errors import DataError, Problem

ABOUT = DatasetFile(
    skeleton="penn13",
    fps=30,
    about="Penn Action: joints annotated in 2326 video clips of 15 sports and fitness actions "
    "(Zhang, Zhu, Derpanis: From Actemes to Action, ICCV 2013).",
    terms="Published for research; no licence is stated with the annotations.",
)

ANATOMICAL = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11)
"""Which of the files' joints is body13's joint: the other side's."""

CORNER = 2.0
"""Pixels: unplaced joints have x and y up to 1.5."""


def prepare(source: Path | str, out: Path | str) -> int:
    """Write the data set folder `out` from a download; returns the number of clips. Raises DataError."""
    return write(out, ABOUT, _clips(Path(source)))


def _clips(source: Path) -> Iterator[NewClip]:
    # The files give no video ids, but clips cut from one video stand next to each other: a run of clips of one action,
    # split and picture size is taken as one group, so that validation does not see the videos trained on.
    previous: tuple[object, ...] = ()
    group, seen = 0, 0
    for name, data in sorted(_label_files(source)):
        try:
            mat = loadmat(io.BytesIO(data))  # type: ignore[arg-type]  # the stubs know paths only
            clip, size = _clip(PurePosixPath(name).stem, mat)
        except (MatReadError, KeyError, ValueError, IndexError, TypeError, NotImplementedError) as error:
            raise DataError([Problem(source / name, None, f"is no label file of Penn Action ({error})")]) from error
        run = (clip.label, clip.split, size)
        group += run != previous
        previous = run
        seen += 1
        yield NewClip(clip.name, clip.keypoints, clip.label, clip.split, f"{clip.label}-{group:04d}")
    if not seen:
        raise DataError([Problem(source, None, "holds no labels/*.mat; this is not the download of Penn Action")])


def _clip(name: str, mat: dict[str, Any]) -> tuple[NewClip, tuple[int, int]]:
    keypoints: Array = np.stack([mat["x"], mat["y"], mat["visibility"]], -1).astype(np.float32)
    if keypoints.ndim != 3 or keypoints.shape[1] != 13:
        raise ValueError(f"x, y and visibility stack to {keypoints.shape}, not (T, 13, 3)")
    keypoints = keypoints[:, ANATOMICAL]
    keypoints[(keypoints[..., 2] == 0) & (np.abs(keypoints[..., :2]) < CORNER).all(-1)] = 0
    height, width = (int(size) for size in np.ravel(mat["dimensions"])[:2])
    split: Literal["train", "test"] = "train" if np.ravel(mat["train"])[0] == 1 else "test"
    return NewClip(name, keypoints, str(np.ravel(mat["action"])[0]), split), (height, width)


def _label_files(source: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every `labels/*.mat` of a folder, a zip or a tar. Raises DataError."""
    try:
        if source.is_dir():
            for path in source.glob("**/labels/*.mat"):
                yield str(path.relative_to(source)), path.read_bytes()
            for path in source.glob("*.mat"):
                yield path.name, path.read_bytes()
        elif zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                for name in archive.namelist():
                    if _is_label_file(name):
                        yield name, archive.read(name)
        else:
            with tarfile.open(source) as archive:
                for member in archive:
                    file = archive.extractfile(member) if _is_label_file(member.name) else None
                    if file is not None:
                        yield member.name, file.read()
    except (OSError, zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise DataError([Problem(source, None, f"cannot be read: {error}")]) from error


def _is_label_file(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix == ".mat" and path.parent.name in ("labels", "") and not path.name.startswith(".")
