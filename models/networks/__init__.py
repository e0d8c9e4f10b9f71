"""The networks, in torch. Only training imports this package; the service runs their exported step graphs."""

from __future__ import annotations

from inkling.models.networks.frames import FrameConfig, FrameFeatures
from inkling.models.networks.network import Answers, CausalNetwork, Inputs, WholeClipNetwork
from inkling.models.networks.pose_features import PoseConfig, PoseFeatures
from inkling.models.networks.recurrent import Student, StudentConfig, Teacher, TeacherConfig
from inkling.models.networks.registry import NETWORKS, NetworkPlan
from inkling.models.networks.two_stage import TwoStageConfig, TwoStageStudent, TwoStageTeacher
from inkling.models.skeletons import Skeleton

__all__ = [
    "NETWORKS",
    "Answers",
    "CausalNetwork",
    "FrameConfig",
    "FrameFeatures",
    "Inputs",
    "NetworkPlan",
    "PoseConfig",
    "PoseFeatures",
    "Student",
    "StudentConfig",
    "Teacher",
    "TeacherConfig",
    "TwoStageConfig",
    "TwoStageStudent",
    "TwoStageTeacher",
    "WholeClipNetwork",
    "frame_student",
    "frame_teacher",
    "pose_student",
    "pose_teacher",
]


def pose_student(
    config: StudentConfig, skeleton: Skeleton, rate_hz: float, classes: int, poses: PoseConfig | None = None
) -> Student:
    """A causal student on poses (B, T, J, D + 1) of this skeleton, stepped at `rate_hz`."""
    return Student(PoseFeatures(skeleton, rate_hz, poses), classes, config, rate_hz)


def pose_teacher(
    config: TeacherConfig, skeleton: Skeleton, rate_hz: float, classes: int, poses: PoseConfig | None = None
) -> Teacher:
    """A teacher on whole clips of poses (B, T, J, D + 1) of this skeleton."""
    return Teacher(PoseFeatures(skeleton, rate_hz, poses), classes, config)


def frame_student(config: StudentConfig, frames: FrameConfig, rate_hz: float, classes: int) -> Student:
    """A causal student on frames (B, T, H, W, 3) uint8, stepped at `rate_hz`."""
    return Student(FrameFeatures(frames, rate_hz), classes, config, rate_hz)


def frame_teacher(config: TeacherConfig, frames: FrameConfig, rate_hz: float, classes: int) -> Teacher:
    """A teacher on whole clips of frames (B, T, H, W, 3) uint8; its backbone sees no more than a student's."""
    return Teacher(FrameFeatures(frames, rate_hz), classes, config)
