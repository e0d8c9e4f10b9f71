"""Pictures beside the joints of a data set of poses: what a network of two inputs is given as its second one.

The column `video` of `clips.csv` names the film that a pose file was made of, or that was taken beside it; both are of
the same timing: second 0 of the one is second 0 of the other. `inkling train prepare pictures` reads each film once,
and writes into the data set's folder

- `pictures.toml`: as `dataset.toml` of prepared clips: `kind` ("frames" or "features"), size, rate, extractor;
- `pictures.csv`: `video,array`, a row per film;
- `pictures/`: the arrays, a row per step at `rate_hz` (`data.frame_dataset`), named by what they are made of.

A step of a clip sees the row nearest to it in time.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from inkling.models.bundle.schema import FrameInput
from inkling.models.networks import FrameConfig
from inkling.models.problems import first_problem
from inkling.training.data.frame_dataset import ClipsFile, array_file
from inkling.training.data.pose_dataset import CLIPS_FILE, Clip, PoseDataset
from inkling.training.errors import DataError, Problem
from inkling.training.files import write_text
from inkling.training.networks.weights import extractor_id

PICTURES_FILE, PICTURES_TABLE, PICTURES_FOLDER = "pictures.toml", "pictures.csv", "pictures"
COLUMNS = ("video", "array")
LATE_S = 0.25
"""A film may end so long before the joints do: its last frame is held. One that ends earlier is of another timing."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """The prepared pictures of a data set. arrays: of each film by its path, (T, *row)."""

    about: ClipsFile
    arrays: Mapping[str, NDArray[Any]]

    @property
    def input(self) -> FrameInput:
        """What a bundle takes of a picture."""
        return self.about.input

    def beside(self, clip: Clip, steps: Sequence[int]) -> Tensor:
        """Row by row the pictures (T, *row) of the steps of a clip, given as indices of its poses."""
        array = self.arrays[clip.video]
        rows = np.rint(clip.pts_s[list(steps)] * self.about.rate_hz).astype(int).clip(0, len(array) - 1)
        if len(rows) and (np.diff(rows) == 1).all():  # a part of the file as it is, without a copy
            return torch.from_numpy(array[rows[0] : rows[-1] + 1])
        return torch.from_numpy(array[rows])


def films(dataset: PoseDataset) -> list[str]:
    """The films that its clips are of, each once. Raises DataError where a clip has none."""
    table = dataset.directory / CLIPS_FILE
    bare = [clip for clip in dataset.clips if not clip.video]
    if bare:
        said = "a network on joints and pictures needs the column 'video', with the film of every clip"
        raise DataError([Problem(table, bare[0].row, f"{bare[0].path} has no video; {said}")])
    return list(dict.fromkeys(clip.video for clip in dataset.clips))


def write_pictures(directory: Path, about: ClipsFile, names: Mapping[str, str]) -> None:
    """Write `pictures.toml` and, last, `pictures.csv`. names: of each film its array's."""
    fields = about.model_dump(mode="json", exclude_defaults=True)
    text = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in fields.items())
    table = io.StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(sorted(names.items()))
    write_text(directory / PICTURES_FILE, text)
    write_text(directory / PICTURES_TABLE, table.getvalue())


def read_pictures(dataset: PoseDataset, frames: FrameConfig, rate_hz: float) -> Pictures:
    """The prepared pictures of a data set, as a recipe wants them. Raises DataError with every problem found."""
    wanted = films(dataset)
    directory = dataset.directory
    try:
        about = ClipsFile.model_validate(tomllib.loads((directory / PICTURES_FILE).read_text(encoding="utf-8")))
        with (directory / PICTURES_TABLE).open(encoding="utf-8", newline="") as file:
            names = {row["video"]: row["array"] for row in csv.DictReader(file, strict=True)}
    except ValidationError as error:
        raise DataError([Problem(directory / PICTURES_FILE, None, first_problem(error))]) from error
    except (OSError, ValueError, KeyError, csv.Error) as error:
        said = f"its films are not prepared: inkling train prepare pictures {directory} --recipe RECIPE"
        raise DataError([Problem(directory / PICTURES_FILE, None, said)]) from error
    problems = list(_unlike_recipe(directory, about, frames, rate_hz))
    arrays: dict[str, NDArray[Any]] = {}
    for video in wanted if not problems else ():
        try:
            arrays[video] = _array(directory / about.files / names[video], about)
        except (OSError, ValueError, EOFError, KeyError) as error:
            what = "is not prepared" if isinstance(error, KeyError | FileNotFoundError) else str(error)
            problems.append(Problem(directory / PICTURES_TABLE, None, f"{video}: {what}"))
    problems += [Problem(directory / CLIPS_FILE, clip.row, why) for clip, why in _too_short(dataset, about, arrays)]
    if problems:
        raise DataError(problems)
    return Pictures(about, arrays)


def _array(path: Path, about: ClipsFile) -> NDArray[Any]:
    """Raises OSError, ValueError."""
    array = array_file(path)
    dtype = np.dtype(np.uint8 if about.kind == "frames" else np.float32)
    if array.dtype != dtype or array.shape[1:] != about.row_shape or not len(array):
        raise ValueError(f"{path.name} holds {array.dtype} {array.shape}")
    return array


def _too_short(
    dataset: PoseDataset, about: ClipsFile, arrays: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[Clip, str]]:
    """Clips that go on after their films have ended, and what is said of each."""
    for clip in dataset.clips:
        array = arrays.get(clip.video)
        if array is not None and clip.pts_s[-1] > len(array) / about.rate_hz + LATE_S:
            yield clip, f"{clip.video} ends after {len(array) / about.rate_hz:.2f} s, before the joints do"


def _unlike_recipe(directory: Path, about: ClipsFile, frames: FrameConfig, rate_hz: float) -> Iterator[Problem]:
    """What was prepared otherwise than the recipe asks for."""
    path = directory / PICTURES_FILE
    have, asked = (about.height, about.width, about.fit), (frames.height, frames.width, frames.fit)
    if have != asked:
        yield Problem(path, None, f"prepared as {have[0]} x {have[1]}, {have[2]}; the recipe says {asked}")
    if about.rate_hz != rate_hz:
        yield Problem(path, None, f"prepared at {about.rate_hz:g} Hz, not at {rate_hz:g}")
    if about.kind == "features" and about.extractor != extractor_id(frames):
        yield Problem(path, None, f"features of {about.extractor!r}; the recipe asks for {extractor_id(frames)!r}")
