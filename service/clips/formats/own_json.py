"""Our own JSON:

    {"skeleton", "fps" or "pts_s": [T], "width", "height", "people": [{"track", "keypoints": [T x J x C]}]}

A frame is null where the person is not there, a joint is null where it is missing.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from inkling.models.problems import first_problem
from inkling.service.clips.formats.frames import Bounds, PersonFrames
from inkling.service.clips.formats.json_reader import Body, JsonReader
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip, TooLarge
from inkling.service.protocol.messages import PictureSide
from inkling.service.protocol.pose_message import MAX_PEOPLE
from inkling.service.protocol.track_id import TrackId, read_track

_EXTRA = "Extra inputs are not permitted"


class _Fields(BaseModel):
    skeleton: Annotated[str, Field(max_length=100)] | None = None
    fps: float | None = None
    width: PictureSide | None = None
    height: PictureSide | None = None


def read(body: Body, bounds: Bounds) -> PoseClip:
    """The clip in a UTF-8 text. Raises BadClip, TooLarge."""
    reader = JsonReader(body)
    fields: dict[str, Any] = {}
    people: dict[TrackId, NDArray[np.float32]] | None = None
    present: dict[TrackId, NDArray[np.bool_]] = {}
    pts_s: NDArray[np.float64] | None = None
    for key in reader.fields():
        if key == "people":
            people = {}
            if reader.peek() != "[":
                raise BadClip("people: Input should be a list")
            for _ in reader.entries():
                track, frames, there = _person(reader, bounds)
                if track in people:
                    raise BadClip(f"track {track!r} is there twice")
                if len(people) >= MAX_PEOPLE:
                    raise TooLarge(f"the clip has more than {MAX_PEOPLE} people")
                people[track], present[track] = frames, there
        elif key == "pts_s" and reader.peek() == "[":
            pts_s = _times(reader, bounds.frames)
        elif key == "pts_s" or key in _Fields.model_fields:
            fields[key] = reader.value()
        else:
            raise BadClip(f"{key[:80]}: {_EXTRA}")
    reader.end()
    if fields.pop("pts_s", None) is not None:
        raise BadClip("pts_s: Input should be a list of seconds")
    try:
        said = _Fields.model_validate(fields)
    except ValidationError as error:
        raise BadClip(first_problem(error, "the clip")) from None
    if people is None:
        raise BadClip("people: Field required")
    if not people:
        raise BadClip("people: List should have at least 1 item")
    if len(shapes := {array.shape for array in people.values()}) > 1:
        raise BadClip(
            f"everybody must have equally many frames and joints, not {' and '.join(sorted(map(str, shapes)))}"
        )
    clip = PoseClip(people, present, pts_s, said.skeleton, said.width, said.height)
    return clip.at(said.fps) if said.fps is not None and pts_s is None else clip


def _person(reader: JsonReader, bounds: Bounds) -> tuple[TrackId, NDArray[np.float32], NDArray[np.bool_]]:
    track: TrackId | None = None
    if reader.peek() not in ("{", ""):
        raise BadClip("people: each person is an object with track and keypoints")
    found: PersonFrames | None = None
    for key in reader.fields():
        if key == "track":
            try:
                track = read_track(reader.value())
            except ValueError as error:
                raise BadClip(f"people.track: {error}") from None
        elif key == "keypoints":
            found = PersonFrames(bounds, "a person" if track is None else f"track {track!r}")
            if reader.peek() != "[":
                raise BadClip("people.keypoints: Input should be a list of frames")
            for frame in reader.items():
                found.add(frame)
        else:
            raise BadClip(f"people.{key[:80]}: {_EXTRA}")
    if found is None:
        raise BadClip("people.keypoints: Field required")
    return read_track(track), *found.finish()


def _times(reader: JsonReader, most: int) -> NDArray[np.float64]:
    times: list[float] = []
    for value in reader.items():
        if type(value) not in (int, float) or len(times) > most:
            raise BadClip("pts_s: Input should be a list of seconds, one for each frame")
        times.append(float(value) if abs(value) < 1e300 else np.inf)
    return np.array(times, np.float64)
