"""Tracked keypoints of a film as a pose file, in the format of data sets and of `POST /v1/clips`.

`keypoints` (N, J, 3), `pts_s` (N,) and `tracks` (N,): a row for each person in each frame, in the order of time; beside
them `skeleton`, `width` and `height`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inkling.models.errors import InklingError
from inkling.service.annotate.film_record import FilmRecord

Arrays = Mapping[str, NDArray[Any]]


class NobodySeen(InklingError):
    """There is nobody in the film whose poses could be written."""


def pose_arrays(record: FilmRecord, size: tuple[int, int], skeleton: str) -> Arrays:
    """The arrays of the file, of all tracks. size: width and height of the film. skeleton: of the keypoints, its name.

    Raises NobodySeen.
    """
    found = {track: poses for track in record.tracks if len((poses := record.poses(track))[0])}
    if not found:
        raise NobodySeen("nobody was seen in the film, so there are no poses to write")
    pts_s = np.concatenate([times for times, _ in found.values()])
    keypoints = np.concatenate([rows for _, rows in found.values()])
    tracks = np.concatenate([np.full(len(times), track, np.int64) for track, (times, _) in found.items()])
    order = np.lexsort((tracks, pts_s))
    about = {"skeleton": np.array(skeleton), "width": np.array(size[0]), "height": np.array(size[1])}
    return about | {"keypoints": keypoints[order], "pts_s": pts_s[order], "tracks": tracks[order]}


def by_track(arrays: Arrays) -> dict[int, Arrays]:
    """One file for each track, as data sets have them."""
    tracks = arrays["tracks"]
    rows = ("keypoints", "pts_s", "tracks")
    return {
        int(track): {name: array[tracks == track] if name in rows else array for name, array in arrays.items()}
        for track in np.unique(tracks)
    }


def save(path: Path, arrays: Arrays) -> None:
    """Write them. Raises OSError."""
    with path.open("wb") as file:
        np.savez_compressed(file, **dict[str, Any](arrays))
