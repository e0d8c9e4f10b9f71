"""The networks that a recipe can name: `network = "two_stage"`. A new one is a file of its own, a line here, and where
it has keys of its own a section of the recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inkling.models.networks.frames import FrameConfig, FrameFeatures
from inkling.models.networks.joints_and_picture import JointsAndPicture
from inkling.models.networks.network import CausalNetwork, WholeClipNetwork
from inkling.models.networks.pose_features import PoseConfig, PoseFeatures
from inkling.models.networks.recurrent import Student, StudentConfig, Teacher, TeacherConfig
from inkling.models.networks.two_stage import TwoStageConfig, TwoStageStudent, TwoStageTeacher
from inkling.models.skeletons import Skeleton


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """What a recipe and its clips say of a network: everything that a builder may ask for.

    skeleton: of clips of poses; frames: where pictures are seen.
    """

    rate_hz: float
    classes: int
    skeleton: Skeleton | None
    frames: FrameConfig | None
    poses: PoseConfig
    student: StudentConfig
    teacher: TeacherConfig
    two_stage: TwoStageConfig

    def pose_features(self) -> PoseFeatures:
        """Features of the joints. Raises ValueError without a skeleton."""
        if self.skeleton is None:
            raise ValueError("the clips have no joints")
        return PoseFeatures(self.skeleton, self.rate_hz, self.poses)

    def frame_features(self) -> FrameFeatures:
        """Features of pictures. Raises ValueError where none are seen."""
        if self.frames is None:
            raise ValueError("the recipe has no section frames")
        return FrameFeatures(self.frames, self.rate_hz)

    def both_features(self) -> JointsAndPicture:
        """Features of joints and picture. Raises ValueError without either."""
        return JointsAndPicture(self.pose_features(), self.frame_features())

    def one_input(self) -> PoseFeatures | FrameFeatures:
        """Features of the clips, which are poses or frames."""
        return self.frame_features() if self.skeleton is None else self.pose_features()


@dataclass(frozen=True, slots=True)
class NetworkKind:
    """How a kind of network is built. both: it is given joints and picture; else one of them."""

    student: Callable[[NetworkPlan], CausalNetwork]
    teacher: Callable[[NetworkPlan], WholeClipNetwork]
    both: bool = False


NETWORKS: dict[str, NetworkKind] = {
    "recurrent": NetworkKind(
        lambda plan: Student(plan.one_input(), plan.classes, plan.student, plan.rate_hz),
        lambda plan: Teacher(plan.one_input(), plan.classes, plan.teacher),
    ),
    "two_stage": NetworkKind(
        lambda plan: TwoStageStudent(plan.both_features(), plan.classes, plan.two_stage),
        lambda plan: TwoStageTeacher(plan.both_features(), plan.classes, plan.two_stage),
        both=True,
    ),
}
