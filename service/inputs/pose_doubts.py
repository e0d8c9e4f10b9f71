"""What one stream's poses mean: pixels or shares of the picture, and what looks wrong about them. Pure.

Only the first frames with people are looked at; after them a stream costs no more than its mapper.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from inkling.models.skeletons import Skeleton
from inkling.service.inputs.pose_mapper import PoseMapper
from inkling.service.protocol.messages import Start
from inkling.service.protocol.pose_binary import PackedPose

Poses = NDArray[np.float32]

NEAR = -1.0, 2.0
"""Shares of a picture lie from 0 to 1, those of joints that an estimator guesses beyond its edge within these."""
ENOUGH = 4
"""Joints found in a frame that tell shares from pixels: no person's are all within two pixels of a corner."""
SURE = 2.0
"""Largest confidence in use: COCO's `2` for a joint that can be seen."""
AFTER_SHARES, AFTER_CONFIDENCES, AFTER_UPSIDE_DOWN = 10, 3, 30
"""Frames with people after which each is said."""
LOOK = 30
"""Frames with people that are looked at."""

SHARES = (
    "all keypoints lie between 0 and 1: if they are shares of the picture, say its width and height in pixels; "
    "they are taken as they are"
)
CONFIDENCES = (
    "confidences are negative or far above 1: the last number of a joint is its confidence, from 0 to 1; a z belongs "
    "before it, and only in a skeleton of three dimensions"
)
UPSIDE_DOWN = (
    "heads are below ankles in every frame: y points down, as in a picture; if yours points up, send height - y"
)


class StreamPoses:
    """The mapper of one stream: `PoseMapper` for its kind of poses, and a look at the first of them."""

    __slots__ = ("_ankles", "_bad", "_head", "_looked", "_low", "_mapper", "_shares", "_size", "_small", "_way")

    def __init__(self, mapper: PoseMapper, start: Start) -> None:
        self._mapper = mapper
        self._way: Callable[[PackedPose], Poses] = self._first  # another one after the first frames
        self._head, self._ankles = _ends(mapper.source)
        self._shares: bool | None = None  # whether keypoints are shares; None: not known yet
        self._looked = self._small = self._bad = self._low = 0
        self._size: Poses | None = None
        if mapper.source.dimensions == 2 and start.width and start.height:
            self._size = np.array([start.width, start.height, 1], np.float32)

    @property
    def prepare(self) -> Callable[[Poses], Poses]:
        """That of all streams of the kind, so that they are prepared in one call."""
        return self._mapper.prepare

    def accept(self, frame: PackedPose) -> Poses:
        """As `PoseMapper.accept`."""
        return self._way(frame)

    def _first(self, frame: PackedPose) -> Poses:
        """`accept` of the first frames: what is doubtful about them is left in `frame.doubt`."""
        poses = self._mapper.accept(frame)
        if self._mapper.source.dimensions != 2:
            self._way = self._mapper.accept
            return poses
        found = (poses[..., 2] != 0) & np.isfinite(poses).all(axis=-1) & poses[..., :2].any(axis=-1)
        count = int(found.sum())
        if not count:
            return poses
        places = poses[found][:, :2]
        near = bool((places >= NEAR[0]).all() and (places <= NEAR[1]).all())
        if self._shares is None and count >= ENOUGH:
            self._shares = near
        frame.doubt = self._doubt(poses, found, near and count >= ENOUGH)
        shares = near if self._shares is None else self._shares
        self._looked += 1
        if self._looked >= LOOK and self._shares is not None:
            self._way = self._scaled if self._shares and self._size is not None else self._mapper.accept
        return poses * self._size if shares and self._size is not None else poses

    def _scaled(self, frame: PackedPose) -> Poses:
        poses = self._mapper.accept(frame)
        return poses if self._size is None else poses * self._size

    def _doubt(self, poses: Poses, found: NDArray[np.bool_], near: bool) -> str | None:
        """What there is to say at this frame, once each."""
        if self._looked >= LOOK:
            return None
        self._small += near and self._size is None
        confidences = poses[..., 2][found]
        self._bad += bool((confidences < 0).any() or (confidences > SURE).any())
        self._low += self._upside_down(poses, found)
        if self._bad == AFTER_CONFIDENCES:
            self._bad += 1
            return CONFIDENCES
        if self._small == AFTER_SHARES == self._looked + 1:
            return SHARES
        return UPSIDE_DOWN if self._low == AFTER_UPSIDE_DOWN == self._looked + 1 else None

    def _upside_down(self, poses: Poses, found: NDArray[np.bool_]) -> bool:
        """Whether everybody of whom that can be said stands on their head."""
        if self._head is None or not self._ankles:
            return False
        said = False
        for person, there in zip(poses, found, strict=True):
            if not (there[self._head] and there[self._ankles].all()):
                continue
            size = np.ptp(person[there][:, :2], axis=0)
            drop = person[self._head, 1] - person[self._ankles, 1].mean()
            if size[1] <= size[0] or drop < size[1] / 2:  # lying, or upright
                return False
            said = True
        return said


def _ends(skeleton: Skeleton) -> tuple[int | None, list[int]]:
    """Indices of the head, or what is nearest to it, and of the ankles."""
    at = {name: index for index, name in enumerate(skeleton.joints)}
    head = next((at[name] for name in ("head", "nose", "face") if name in at), None)
    return head, [at[name] for name in ("left_ankle", "right_ankle") if name in at]
