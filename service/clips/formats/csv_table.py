"""A table with a line for each person in each frame, and a header that names the columns:

    pts_s,track,nose_x,nose_y,nose_c,left_eye_x,...

`pts_s` (seconds) or `frame` (a number), and `track`, may be left out. The joints follow in the order of the skeleton,
two columns each (`_x`, `_y`) or three (`_x`, `_y`, `_c`: confidence); an empty cell is a missing joint.
"""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import numpy as np

from inkling.models.skeletons import SKELETONS
from inkling.service.clips.formats.frames import Bounds, ScatteredFrames
from inkling.service.clips.formats.json_reader import Body
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip
from inkling.service.protocol.track_id import TrackId, read_track

_KEYS = ("pts_s", "frame", "track")
_LONGEST = 64 * 1024
"""Characters of a line."""
_SHAPES = (("x", "y"), ("x", "y", "c"), ("x", "y", "z", "c"))


def is_header(head: bytes | bytearray) -> bool:
    """Whether the first bytes of a text are such a header."""
    return b"_x," in head.split(b"\n")[0].replace(b" ", b"").lower()


def read(body: Body, bounds: Bounds) -> PoseClip:
    """The clip in a UTF-8 text. Raises BadClip, TooLarge."""
    try:
        rows = csv.reader(_lines(body), strict=True)
        header = [name.strip() for name in next(rows)]
        keys = [name for name in header if name in _KEYS]
        joints, width = _joints([name for name in header if name not in _KEYS])
        if header[: len(keys)] != keys or len(set(keys)) != len(keys):
            raise BadClip("the columns pts_s, frame and track come first, once each")
        return _clip(rows, keys, joints, width, bounds)
    except (csv.Error, UnicodeDecodeError) as error:
        raise BadClip(f"the .csv cannot be read: {error}") from None


def _lines(body: Body) -> Any:
    file = io.TextIOWrapper(io.BytesIO(body), "utf-8", newline="")
    while line := file.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise BadClip(f"a line of the .csv is longer than {_LONGEST} characters")
        yield line


def _joints(names: list[str]) -> tuple[list[str], int]:
    """The joints that the columns name, and the columns of each. Raises BadClip."""
    parts = [name.rsplit("_", 1) for name in names]
    for shape in _SHAPES:
        joints = [part[0] for part in parts[:: len(shape)]]
        if names == [f"{joint}_{number}" for joint in joints for number in shape]:
            return joints, len(shape)
    raise BadClip("the header of the .csv is pts_s,track,NAME_x,NAME_y,NAME_c,… with the same columns for each joint")


def _clip(rows: Any, keys: list[str], joints: list[str], width: int, bounds: Bounds) -> PoseClip:
    scattered = ScatteredFrames(bounds)
    frames: dict[float, int] = {}
    for number, row in enumerate(rows):
        if len(row) != len(keys) + len(joints) * width:
            raise BadClip(f"line {number + 2} of the .csv has {len(row)} cells, not as many as its header")
        said = dict(zip(keys, row, strict=False))
        time = _number(said.get("pts_s", said.get("frame", str(number))), number)
        frame = frames.setdefault(time, len(frames))
        cells = [_number(cell, number) for cell in row[len(keys) :]]
        scattered.add(
            frame, _track(said.get("track", "")), [cells[at : at + width] for at in range(0, len(cells), width)]
        )
    people, present = scattered.finish(len(frames))
    known = (name for name, skeleton in SKELETONS.items() if list(skeleton.joints) == joints)
    times = np.array(list(frames), np.float64) if "pts_s" in keys else None
    return PoseClip(people, present, times, next(known, None))


def _track(cell: str) -> TrackId:
    cell = cell.strip()
    try:
        return read_track(int(cell) if cell.lstrip("-").isdecimal() and len(cell) < 25 else cell or None)
    except ValueError as error:
        raise BadClip(str(error)) from None


def _number(cell: str, number: int) -> float:
    try:
        return float(cell) if cell.strip() else math.nan
    except ValueError:
        raise BadClip(f"line {number + 2} of the .csv: {cell[:40]!r} is no number") from None
