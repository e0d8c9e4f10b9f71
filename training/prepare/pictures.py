"""The films of a data set of poses -> the pictures beside the joints (`data.pictures`), in the data set's own folder.

Frames are picked and fitted as those of `prepare videos`, by the service's own resampler and `fit_image`; of a frozen
backbone its features are kept. What is made of a film is kept by the film's content.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inkling.training.data.frame_dataset import ClipsFile
from inkling.training.data.pictures import PICTURES_FOLDER, films, write_pictures
from inkling.training.data.pose_dataset import read
from inkling.training.prepare.decode import Plan, prepare_one
from inkling.training.prepare.workers import VideoDone, make_all


@dataclass(frozen=True, slots=True)
class PicturesMade:
    """films: of the data set; made: how many of them now, of `frames` frames."""

    films: int
    made: int
    frames: int


def prepare(
    directory: Path | str,
    plan: Plan,
    *,
    workers: int | None = None,
    progress: VideoDone = lambda done, total, what: None,
) -> PicturesMade:
    """Prepare every film that the clips of a data set of poses name. Raises DataError with every problem found."""
    directory = Path(directory)
    videos = films(read(directory))
    arrays = directory / PICTURES_FOLDER
    done = make_all(prepare_one, directory, videos, arrays, plan, broken="fail", workers=workers, progress=progress)
    first = np.load(arrays / next(iter(done.names.values())), mmap_mode="r")
    about = ClipsFile(
        kind="features" if plan.extractor else "frames",
        rate_hz=plan.rate_hz,
        height=plan.height,
        width=plan.width,
        fit=plan.fit,
        dim=int(first.shape[1]) if plan.extractor else None,
        extractor=plan.extractor,
        files=PICTURES_FOLDER,
    )
    write_pictures(directory, about, done.names)
    return PicturesMade(len(videos), done.made, done.frames)
