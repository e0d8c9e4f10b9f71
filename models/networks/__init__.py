"""The networks, in torch. Only training imports this package; the service runs their exported step graphs."""

from __future__ import annotations

from models.networks.pose_features import PoseFeatures
from models.networks.recurrent import Student, StudentConfig, Teacher, TeacherConfig
from models.skeletons import Skeleton

__all__ = ["PoseFeatures", "Student", "StudentConfig", "Teacher", "TeacherConfig", "pose_student", "pose_teacher"]


def pose_student(config: StudentConfig, skeleton: Skeleton, rate_hz: float, classes: int) -> Student:
    """A causal student on poses (B, T, J, D + 1) of this skeleton, stepped at `rate_hz`."""
    return Student(PoseFeatures(skeleton, rate_hz), classes, config)


def pose_teacher(config: TeacherConfig, skeleton: Skeleton, rate_hz: float, classes: int) -> Teacher:
    """A teacher on whole clips of poses (B, T, J, D + 1) of this skeleton."""
    return Teacher(PoseFeatures(skeleton, rate_hz), classes, config)
