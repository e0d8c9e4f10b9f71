"""Detections of people, image by image, as estimators write them, made a clip. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from inkling.service.clips.formats.frames import Bounds, ScatteredFrames
from inkling.service.clips.pose_arrays import PoseClip
from inkling.service.protocol.errors import BadClip, TooLarge
from inkling.service.protocol.pose_message import MAX_JOINTS
from inkling.service.protocol.track_id import TrackId, read_track

_JOINTS = {17: "coco17", 18: "openpose18", 25: "openpose25"}


@dataclass(frozen=True, slots=True)
class Detection:
    """One person in one image. flat: x, y, confidence of each joint in a row. flat None: an image without people."""

    image: int | str
    track: Any
    flat: list[Any] | None
    score: float | None = None

    @property
    def confidence(self) -> float:
        """How sure the estimator was of the person."""
        if self.score is not None:
            return self.score
        return float(sum(value for value in (self.flat or [])[2::3] if type(value) is float))


def gather(detections: Iterable[Detection], bounds: Bounds, skeleton: str | None = None) -> PoseClip:
    """The clip of detections. Of several people without a track in an image, the one that is surest is taken.

    Raises BadClip, TooLarge.
    """
    images: dict[int | str, dict[TrackId, Detection]] = {}
    crowded: set[int | str] = set()
    for detection in detections:
        people = images.setdefault(detection.image, {})
        if len(images) > bounds.frames:
            raise TooLarge(f"the clip has more than {bounds.frames} frames, which this server takes at most")
        if detection.flat is None:
            continue
        if len(detection.flat) % 3 or not 0 < len(detection.flat) <= 3 * MAX_JOINTS:
            raise BadClip(f"image {str(detection.image)[:80]}: keypoints are x, y, confidence of each joint in a row")
        try:
            track = read_track(detection.track)
        except ValueError as error:
            raise BadClip(f"image {str(detection.image)[:80]}: {error}") from None
        other = people.get(track)
        if other is not None:
            crowded.add(detection.image)
        if other is None or detection.confidence > other.confidence:
            people[track] = detection
    frames = _frames(list(images), bounds.frames)
    scattered, joints = ScatteredFrames(bounds), 0
    for image, people in images.items():
        for track, detection in people.items():
            flat = detection.flat or []
            joints = len(flat) // 3
            scattered.add(frames[image], track, [flat[at : at + 3] for at in range(0, len(flat), 3)])
    arrays, present = scattered.finish(max(frames.values()) + 1)
    warnings: tuple[str, ...] = ()
    if crowded:
        warnings = (
            f"{len(crowded)} images have several people of one track or of none; only the surest of them is read: "
            "give each person a track_id",
        )
    name = _JOINTS.get(joints) if skeleton is None or joints != 17 else skeleton
    return PoseClip(arrays, present, skeleton=name, warnings=warnings)


def _frames(images: list[int | str], most: int) -> dict[int | str, int]:
    """The frame of each image: by number where they have numbers that lie close enough, else in their order."""
    numbers = [image for image in images if isinstance(image, int)]
    if len(numbers) == len(images) and max(numbers) - min(numbers) < min(most, 4 * len(images) + 100):
        return {image: image - min(numbers) for image in numbers}
    return {image: frame for frame, image in enumerate(images)}
