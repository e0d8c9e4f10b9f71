"""From a client's keypoints to the array that a pose bundle's step takes: the mapper of a session with pose input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.bundle.schema import BundleSpec, PoseInput
from models.errors import SkeletonError
from models.skeletons import get, mapping
from service.errors import BadPose, UnsupportedInput
from service.packed import PackedPose
from service.protocol import Start


class PoseMapper:
    """Maps the people of one frame onto the bundle's skeleton, all at once."""

    __slots__ = ("_joints", "_mapping", "_numbers", "_source")

    def __init__(self, spec: BundleSpec, start: Start) -> None:
        """Raises UnsupportedInput when the bundle takes no poses, or none of `start.skeleton`."""
        if not isinstance(spec.input, PoseInput) or start.input != "pose":
            raise UnsupportedInput(f"bundle {spec.name} takes input {spec.input.kind!r}, not {start.input!r}")
        target = spec.input.skeleton
        try:
            source = target if start.skeleton in (None, target.name) else get(start.skeleton or "")
            joints = mapping(source, target)
        except SkeletonError as error:
            raise UnsupportedInput(str(error)) from None
        self._mapping = None if source.joints == target.joints else joints
        self._source = source.name
        self._joints = len(source.joints)
        self._numbers = source.dimensions + 1

    def __call__(self, frame: PackedPose) -> NDArray[np.float32]:
        """(P, J, C) as sent -> float32 (P, J', D + 1): missing joints all zero, confidence in [0, 1].

        Raises BadPose (with `seq`) for another number of joints, or of numbers per joint, than the skeleton's.
        """
        keypoints = frame.keypoints
        people, joints, numbers = keypoints.shape
        if people and joints != self._joints:
            raise self._refuse(frame, f"{self._source} has {self._joints} joints, {joints} were sent")
        if numbers == self._numbers:
            confidence = np.minimum(keypoints[:, :, -1], 1)
        elif numbers == self._numbers - 1:
            confidence = np.ones((people, joints), np.float32)
        elif np.isnan(keypoints).all():  # nobody is seen, or nulls only
            return self._map(np.zeros((people, self._joints, self._numbers), np.float32))
        else:
            wanted = f"{self._numbers - 1} coordinates and a confidence"
            raise self._refuse(frame, f"each joint of {self._source} has {wanted}, {numbers} numbers were sent")
        pose = np.empty((people, joints, self._numbers), np.float32)
        pose[:, :, :-1] = keypoints[:, :, : self._numbers - 1]
        pose[:, :, -1] = confidence
        seen = (confidence > 0) & ~np.isnan(pose[:, :, 0])
        if not seen.all():
            pose[~seen] = 0
        return self._map(pose)

    def _map(self, pose: NDArray[np.float32]) -> NDArray[np.float32]:
        return pose if self._mapping is None else self._mapping.apply(pose)

    @staticmethod
    def _refuse(frame: PackedPose, reason: str) -> BadPose:
        error = BadPose(reason)
        error.seq = frame.seq
        return error
