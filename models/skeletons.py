"""Skeletons: which joints a pose has, and how poses of one skeleton become poses of another.

Joints are matched by name:

    to_model = mapping(get("coco17"), BODY13)
    poses = to_model.apply(keypoints)  # (..., 17, 3) -> (..., 13, 3)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from inkling.models.errors import SkeletonError

Index = Annotated[int, Field(ge=0)]
Number = TypeVar("Number", bound=np.floating[Any])


class Skeleton(BaseModel):
    """A body: joint names in order, what mirrors what, and what it hangs from."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    """Of the skeleton, such as `body13`."""
    joints: Annotated[tuple[str, ...], Field(min_length=1, max_length=512)]
    """Their names, in the order of a pose's rows."""
    dimensions: Literal[2, 3] = 2
    """Coordinates of a joint."""
    pairs: tuple[tuple[Index, Index], ...] = ()
    """(left, right) joint indices."""
    root: Annotated[tuple[Index, ...], Field(min_length=1)]
    """Indices of the joints whose mean is the body's centre."""
    bones: tuple[tuple[Index, Index], ...] = ()
    """(parent, child) joint indices."""

    @model_validator(mode="after")
    def _indices_exist(self) -> Self:
        if len(set(self.joints)) != len(self.joints):
            raise ValueError("joint names must be unique")
        used = [
            *self.root,
            *(i for pair in self.pairs for i in pair),
            *(i for bone in self.bones for i in bone),
        ]
        if used and max(used) >= len(self.joints):
            raise ValueError(f"joint index {max(used)} does not exist: the skeleton has {len(self.joints)} joints")
        return self


def _skeleton(name: str, joints: str, root: str, bones: str, dimensions: Literal[2, 3] = 2) -> Skeleton:
    """Build a table from names. bones: chains `a-b-c`; in joints and chains `l_` and `r_` stand for left and right."""
    names = tuple(_LONG.get(joint[:2], joint[:2]) + joint[2:] for joint in joints.split())
    index = {joint: i for i, joint in enumerate(names)}
    short = {joint: i for i, joint in enumerate(joints.split())}
    chains = [[short[joint] for joint in chain.split("-")] for chain in bones.split()]
    return Skeleton(
        name=name,
        joints=names,
        dimensions=dimensions,
        pairs=tuple((i, index["right_" + j[5:]]) for j, i in index.items() if j.startswith("left_")),
        root=tuple(short[joint] for joint in root.split()),
        bones=tuple(bone for chain in chains for bone in pairwise(chain)),
    )


_LONG = {"l_": "left_", "r_": "right_"}
_HIPS = "l_hip r_hip"
_LEGS = "l_hip-l_knee-l_ankle r_hip-r_knee-r_ankle"
_ARMS = "l_shoulder-l_elbow-l_wrist r_shoulder-r_elbow-r_wrist"
_TRUNK = "l_hip-r_hip l_hip-l_shoulder r_hip-r_shoulder l_shoulder-r_shoulder"
_NECKED = f"neck-l_shoulder neck-r_shoulder {_ARMS} {_LEGS}"

# The canonical body: the joints that every source below has, in the order of Penn Action.
_BODY13 = (
    "head l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist l_hip r_hip l_knee r_knee l_ankle r_ankle",
    _HIPS,
    f"l_shoulder-head r_shoulder-head {_TRUNK} {_ARMS} {_LEGS}",
)
BODY13 = _skeleton("body13", *_BODY13)

# COCO keypoint annotation: https://cocodataset.org/#keypoints-2017 (also YOLO pose, HRNet, ViTPose, MoveNet, RTMPose)
_COCO17 = _skeleton(
    "coco17",
    "nose l_eye r_eye l_ear r_ear l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist"
    " l_hip r_hip l_knee r_knee l_ankle r_ankle",
    _HIPS,
    f"nose-l_eye-l_ear nose-r_eye-r_ear l_shoulder-nose r_shoulder-nose {_TRUNK} {_ARMS} {_LEGS}",
)

# MediaPipe Pose landmarks: https://ai.google.dev/edge/mediapipe/solutions/vision/pose_landmarker
_BLAZEPOSE33 = _skeleton(
    "blazepose33",
    "nose l_eye_inner l_eye l_eye_outer r_eye_inner r_eye r_eye_outer l_ear r_ear l_mouth r_mouth"
    " l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist l_pinky r_pinky l_index r_index l_thumb r_thumb"
    " l_hip r_hip l_knee r_knee l_ankle r_ankle l_heel r_heel l_toe r_toe",
    _HIPS,
    "nose-l_eye_inner-l_eye-l_eye_outer-l_ear nose-r_eye_inner-r_eye-r_eye_outer-r_ear l_mouth-r_mouth"
    " l_wrist-l_pinky l_wrist-l_index l_wrist-l_thumb r_wrist-r_pinky r_wrist-r_index r_wrist-r_thumb"
    f" l_ankle-l_heel-l_toe r_ankle-r_heel-r_toe {_TRUNK} {_ARMS} {_LEGS}",
)

# OpenPose output formats COCO and BODY_25:
# https://cmu-perceptual-computing-lab.github.io/openpose/web/html/doc/md_doc_02_output.html
_OPENPOSE18 = _skeleton(
    "openpose18",
    "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist"
    " r_hip r_knee r_ankle l_hip l_knee l_ankle r_eye l_eye r_ear l_ear",
    _HIPS,
    f"neck-nose nose-l_eye-l_ear nose-r_eye-r_ear neck-l_hip neck-r_hip {_NECKED}",
)
_OPENPOSE25 = _skeleton(
    "openpose25",
    "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist hip_center"
    " r_hip r_knee r_ankle l_hip l_knee l_ankle r_eye l_eye r_ear l_ear"
    " l_toe l_small_toe l_heel r_toe r_small_toe r_heel",
    "hip_center",
    "hip_center-neck-nose nose-l_eye-l_ear nose-r_eye-r_ear hip_center-l_hip hip_center-r_hip"
    f" l_ankle-l_heel l_ankle-l_toe-l_small_toe r_ankle-r_heel r_ankle-r_toe-r_small_toe {_NECKED}",
)

# Penn Action: http://dreamdragon.github.io/PennAction/ (the README of the data set names the order)
_PENN13 = _skeleton("penn13", *_BODY13)

# JHMDB puppet joints: http://jhmdb.is.tue.mpg.de/ ("joint_positions" readme)
_JHMDB15 = _skeleton(
    "jhmdb15",
    "neck belly face r_shoulder l_shoulder r_hip l_hip r_elbow l_elbow r_knee l_knee r_wrist l_wrist r_ankle l_ankle",
    _HIPS,
    f"belly-neck-face belly-l_hip belly-r_hip {_NECKED}",
)

# Kinect for Windows SDK 1.x (NUI_SKELETON_POSITION_INDEX) and 2.0 (JointType), metres in camera space
_KINECT20_JOINTS = (
    "hip_center spine neck head l_shoulder l_elbow l_wrist l_hand r_shoulder r_elbow r_wrist r_hand"
    " l_hip l_knee l_ankle l_foot r_hip r_knee r_ankle r_foot"
)
_KINECT_BONES = (
    "hip_center-spine hip_center-l_hip hip_center-r_hip l_wrist-l_hand r_wrist-r_hand l_ankle-l_foot r_ankle-r_foot"
    f" {_ARMS} {_LEGS}"
)
_KINECT20 = (_KINECT20_JOINTS, "hip_center", f"spine-neck-head neck-l_shoulder neck-r_shoulder {_KINECT_BONES}")
_KINECT25 = (
    f"{_KINECT20_JOINTS} spine_shoulder l_hand_tip l_thumb r_hand_tip r_thumb",
    "hip_center",
    "spine-spine_shoulder-neck-head spine_shoulder-l_shoulder spine_shoulder-r_shoulder"
    f" l_hand-l_hand_tip r_hand-r_hand_tip l_wrist-l_thumb r_wrist-r_thumb {_KINECT_BONES}",
)

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        BODY13,
        _COCO17,
        _BLAZEPOSE33,
        _OPENPOSE18,
        _OPENPOSE25,
        _PENN13,
        _JHMDB15,
        _skeleton("kinect20", *_KINECT20, dimensions=3),
        _skeleton("kinect25", *_KINECT25, dimensions=3),
        _skeleton("kinect20-2d", *_KINECT20),  # the same joints as pixels of the camera's image
        _skeleton("kinect25-2d", *_KINECT25),
    )
}
"""Every skeleton that can be named without a table of one's own."""


def get(name: str) -> Skeleton:
    """The skeleton of that name. Raises SkeletonError, listing the known names."""
    try:
        return SKELETONS[name]
    except KeyError:
        raise SkeletonError(f"unknown skeleton {name!r}; known are {', '.join(sorted(SKELETONS))}") from None


# What may stand for a joint that a source does not name: the mean of the first group that the frame shows.
_STAND_INS: dict[str, tuple[tuple[str, ...], ...]] = {
    "head": (("face",), ("left_ear", "right_ear"), ("nose",), ("left_eye", "right_eye")),
    "face": (("head",), ("left_ear", "right_ear"), ("nose",), ("left_eye", "right_eye")),
    "neck": (("spine_shoulder",), ("left_shoulder", "right_shoulder")),
    "spine_shoulder": (("left_shoulder", "right_shoulder"),),
    "hip_center": (("left_hip", "right_hip"),),
    "belly": (("spine",),),
    "spine": (("belly",),),
    "left_foot": (("left_toe",),),
    "right_foot": (("right_toe",),),
    "left_toe": (("left_foot",),),
    "right_toe": (("right_foot",),),
}


def without_origin(poses: NDArray[Number], skeleton: Skeleton) -> NDArray[Number]:
    """The same poses `(..., J, D + 1)`, joints at exactly (0, 0) of a 2D skeleton all zeros: they are missing.

    YOLO, OpenPose and others write joints that they did not find so, with whatever confidence. In three dimensions the
    origin is a place like any other.
    """
    if skeleton.dimensions == 2 and not (x := poses[..., 0]).all():  # hardly ever is an x exactly 0
        poses = poses.copy()
        poses[(x == 0) & (poses[..., 1] == 0)] = 0
    return poses


@dataclass(frozen=True, slots=True)
class Mapping:
    """Poses of `source` as poses of `target`; made by `mapping`.

    groups: for each target joint the groups of source joints that may stand for it, best first; empty: it has none.
    """

    source: Skeleton
    target: Skeleton
    groups: tuple[tuple[tuple[int, ...], ...], ...]

    def apply(self, keypoints: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Map `(..., J_source, D + 1)` to a new float32 `(..., J_target, D + 1)`, D coordinates and a confidence.

        A joint is the mean of its first group whose joints are all there, with the least of their confidences.
        A joint without confidence, or with a coordinate that is not finite, is missing: all zeros.
        Raises SkeletonError when the shape is not that of the source.
        """
        shape = (len(self.source.joints), self.source.dimensions + 1)
        if keypoints.shape[-2:] != shape:
            raise SkeletonError(f"{self.source.name} poses are (..., {shape[0]}, {shape[1]}), not {keypoints.shape}")
        clean = keypoints.astype(np.float32)
        if not (np.isfinite(clean).all() and (clean[..., -1] > 0).all()):  # most often everything is there
            there = np.isfinite(keypoints).all(axis=-1, keepdims=True) & (keypoints[..., -1:] > 0)
            clean = np.where(there, keypoints, 0).astype(np.float32)
        mapped = clean.take([groups[0][0] if groups else 0 for groups in self.groups], axis=-2)
        for joint, groups in enumerate(self.groups):
            if len(groups) == 1 and len(groups[0]) == 1:
                continue  # the gather above was all
            place = mapped[..., joint, :]
            place[...] = 0
            for group in groups:  # the best first: what it fills stays
                place[...] = np.where(place[..., -1:] > 0, place, _mean(clean, group))
                if (place[..., -1] > 0).all():
                    break
        return mapped


def _mean(poses: NDArray[np.float32], group: tuple[int, ...]) -> NDArray[np.float32]:
    """The mean `(..., D + 1)` of some of J joints, with the least of their confidences; zeros where one is missing."""
    mean, least = poses[..., group[0], :].copy(), poses[..., group[0], -1]
    for joint in group[1:]:
        mean += poses[..., joint, :]
        least = np.minimum(least, poses[..., joint, -1])
    mean /= len(group)
    mean[..., -1] = least
    mean[least <= 0] = 0
    return mean


def mapping(source: Skeleton, target: Skeleton) -> Mapping:
    """How poses of `source` become poses of `target`: by joint name, with means of neighbours for a few.

    Joints that the source lacks stay missing. Raises SkeletonError when dimensions differ, or when the source has
    less than half of the target's joints.
    """
    if source.dimensions != target.dimensions:
        hint = f"; send {source.name}-2d, its joints as pixels" if f"{source.name}-2d" in SKELETONS else ""
        raise SkeletonError(
            f"{source.name} poses have {source.dimensions} coordinates, {target.name} needs {target.dimensions}{hint}"
        )
    if source.joints == target.joints:  # stand-ins are for other bodies: here a missing joint stays missing
        return Mapping(source, target, tuple(((i,),) for i in range(len(source.joints))))
    index = {joint: i for i, joint in enumerate(source.joints)}
    groups = tuple(
        tuple(
            tuple(index[name] for name in group)
            for group in ((joint,), *_STAND_INS.get(joint, ()))
            if all(name in index for name in group)
        )
        for joint in target.joints
    )
    found = sum(1 for group in groups if group)
    if 2 * found < len(target.joints):
        missing = [joint for joint, group in zip(target.joints, groups, strict=True) if not group]
        raise SkeletonError(
            f"{source.name} has only {found} of the {len(target.joints)} joints of {target.name};"
            f" it lacks {', '.join(missing[:5])}{' and more' if len(missing) > 5 else ''}"
        )
    return Mapping(source, target, groups)
