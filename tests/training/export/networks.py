"""Small untrained students, for the tests of export."""

from __future__ import annotations

from typing import Any

import torch

from inkling.models.bundle.schema import PoseInput
from inkling.models.networks import Student, StudentConfig, pose_student
from inkling.models.skeletons import Skeleton
from tests.training.support import STICK

BODY = STICK.body()
TAKES = PoseInput(kind="pose", skeleton=BODY)


def student(cell: str = "gru", body: Skeleton = BODY, **config: Any) -> Student:
    """A small network with weights drawn anew, the same at every call."""
    torch.manual_seed(0)
    shape = StudentConfig.model_validate({"cell": cell, "hidden": 10, "widths": (12,), **config})
    return pose_student(shape, body, 10, 3).eval()
