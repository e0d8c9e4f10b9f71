"""JHMDB, puppet joints of the 14 classes that skeleton methods use (Jhuang et al., ICCV 2013) -> data set format.

One `.npz`: `keypoints` (sum of T, 15, 2), already centred and scaled; `offsets` (clips + 1,): clip i is
`keypoints[offsets[i]:offsets[i + 1]]`; `labels` (clips,); `split1`, `split2`, `split3` (clips,) of 'train' and 'test'.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from inkling.models.npz import BadNpz, read_npz_file
from inkling.training.data.new_dataset import NewClip, write
from inkling.training.data.pose_dataset import DatasetFile
from inkling.training.errors import DataError, Problem
from inkling.training.prepare.source_rows import INDEX_FILE

SPLITS = (1, 2, 3)
ABOUT = DatasetFile(
    skeleton="jhmdb15",
    fps=25,
    about="JHMDB: puppet joints annotated in 609 video clips of 14 everyday actions "
    "(Jhuang, Gall, Zuffi, Schmid, Black: Towards understanding action recognition, ICCV 2013).",
    terms="Published for research; no licence is stated with the annotations.",
)


def prepare(source: Path | str, out: Path | str, split: int = 1, videos: Path | None = None) -> int:
    """Write the data set folder `out` with one of the three official splits (SPLITS); returns the number of clips.

    videos: the folder of the videos, whose `index.csv` names the clip (`pose14_index`) and the `group` of each: groups
    are then those of the videos, as in a data set of poses estimated from them. Raises DataError.
    """
    if split not in SPLITS:
        raise ValueError(f"JHMDB has the splits {SPLITS}, not {split}")
    source = Path(source)
    names = ("keypoints", "offsets", "labels", *(f"split{number}" for number in SPLITS))
    try:
        found = read_npz_file(source, names)
        arrays = {name: found[name] for name in names}
    except (OSError, KeyError, BadNpz) as error:
        reason = f"is no file of JHMDB-14, which has {', '.join(names)} ({error})"
        raise DataError([Problem(source, None, reason)]) from error
    keypoints, offsets, clips = arrays["keypoints"], arrays["offsets"], len(arrays["labels"])
    if keypoints.ndim != 3 or keypoints.shape[1:] != (15, 2):
        raise DataError([Problem(source, None, f"keypoints have shape {keypoints.shape}, not (frames, 15, 2)")])
    consistent = len(offsets) == clips + 1 and offsets[0] == 0 and offsets[-1] == len(keypoints)
    if not consistent or (np.diff(offsets) < 1).any() or any(len(arrays[name]) != clips for name in names[3:]):
        raise DataError([Problem(source, None, "offsets, labels and splits do not fit each other")])
    groups = _groups(videos / INDEX_FILE, clips) if videos is not None else _runs(arrays)
    return write(out, ABOUT, _clips(arrays, split, groups))


def _groups(index: Path, clips: int) -> list[str]:
    """The group of each clip, by the table of the videos. Raises DataError."""
    groups: dict[int, str] = {}
    try:
        with index.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["pose14_index"]:
                    groups[int(row["pose14_index"])] = row["group"]
        return [groups[i] for i in range(clips)]
    except (OSError, KeyError, ValueError) as error:
        reason = f"does not give each of the {clips} clips a group, in columns pose14_index and group ({error})"
        raise DataError([Problem(index, None, reason)]) from error


def _runs(arrays: dict[str, NDArray[Any]]) -> list[str]:
    """The group of each clip, guessed."""
    # The file gives no video ids. Clips of one video always share a side in all three splits, so neighbours of one
    # label that agree in all three are taken as one group: it may join two videos, and rarely parts one.
    previous: tuple[str, ...] = ()
    groups: list[str] = []
    group = 0
    for i, label in enumerate(str(label) for label in arrays["labels"]):
        run = (label, *(str(arrays[f"split{number}"][i]) for number in SPLITS))
        group += run != previous
        previous = run
        groups.append(f"{label}-{group:03d}")
    return groups


def _clips(arrays: dict[str, NDArray[Any]], split: int, groups: Sequence[str]) -> Iterator[NewClip]:
    for i, label in enumerate(str(label) for label in arrays["labels"]):
        poses = arrays["keypoints"][arrays["offsets"][i] : arrays["offsets"][i + 1]]
        side: Literal["train", "test"] = "train" if arrays[f"split{split}"][i] == "train" else "test"
        yield NewClip(f"{i:04d}", poses.astype(np.float32), label, side, groups[i])
