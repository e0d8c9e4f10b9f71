"""From a client's keypoints to the array that a pose bundle's step takes: the mapper of a session with pose input.

In two halves: `accept` refuses what does not fit, on the event loop, for one frame; `prepare` does the arithmetic, on
the engine's thread, for a whole batch at once (a few microseconds a batch instead of thirty a frame).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inkling.models.bundle.schema import BundleSpec
from inkling.models.errors import SkeletonError
from inkling.models.skeletons import get, mapping, without_origin
from inkling.service.inputs.wants import unsupported
from inkling.service.protocol.errors import BadPose, UnsupportedInput
from inkling.service.protocol.messages import Start
from inkling.service.protocol.pose_binary import PackedPose


class PoseMapper:
    """Poses as one client sends them, onto one bundle's skeleton. Shared by streams of the same kind."""

    __slots__ = ("_joints", "_mapping", "_numbers", "source")

    def __init__(self, spec: BundleSpec, start: Start) -> None:
        """Raises UnsupportedInput when the bundle takes no poses, or none of `start.skeleton`."""
        if spec.pose is None or start.input != "pose":
            raise unsupported(spec, start.input)
        target = spec.pose.skeleton
        try:
            source = target if start.skeleton is None or start.skeleton == target.name else get(start.skeleton)
            self._mapping = mapping(source, target)
        except SkeletonError as error:
            raise UnsupportedInput(str(error)) from None
        self.source = source
        """The skeleton of what is sent."""
        self._joints = len(source.joints)
        self._numbers = source.dimensions + 1

    def accept(self, frame: PackedPose) -> NDArray[np.float32]:
        """(P, J, C) as sent -> (P, J, D + 1) with a confidence, one row for each person, for `prepare`.

        Raises BadPose (with `seq`) for another number of joints, or of numbers per joint, than the skeleton's.
        """
        keypoints = frame.keypoints
        people, joints, numbers = keypoints.shape
        if people and joints != self._joints:
            raise self._refuse(frame, f"{self.source.name} has {self._joints} joints, {joints} were sent")
        if numbers == self._numbers:
            return keypoints
        if numbers == self._numbers - 1:
            return np.concatenate([keypoints, np.ones((people, joints, 1), np.float32)], axis=-1)
        if np.isnan(keypoints).all():  # nobody in the frame, or nulls only
            return np.full((people, self._joints, self._numbers), np.nan, np.float32)
        wanted = f"{self._numbers - 1} coordinates and a confidence"
        raise self._refuse(frame, f"a joint of {self.source.name} is {wanted}, {numbers} numbers were sent")

    def prepare(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Accepted rows (B, J, D + 1) -> the step's input (B, J', D + 1): missing joints zero, confidence at most 1."""
        poses = self._mapping.apply(without_origin(batch, self._mapping.source))
        np.minimum(poses[..., -1], 1, out=poses[..., -1])
        return poses

    @staticmethod
    def _refuse(frame: PackedPose, reason: str) -> BadPose:
        error = BadPose(reason)
        error.seq = frame.seq
        return error
