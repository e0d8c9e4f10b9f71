"""People found in one picture. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detections:
    """The people that an estimator found in one picture, in any order; pixels of that picture."""

    boxes: NDArray[np.float32]
    """(N, 4): left, top, right, bottom."""
    scores: NDArray[np.float32]
    """(N,): how sure the estimator is of each person."""
    keypoints: NDArray[np.float32]
    """(N, J, 3): x, y, confidence of each joint; a joint that was not seen is 0, 0, 0."""

    @classmethod
    def empty(cls, joints: int) -> Self:
        """Nobody."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, joints, 3), np.float32))

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Detections:
        """Those people, in that order: a mask (N,) or indices."""
        return Detections(self.boxes[which], self.scores[which], self.keypoints[which])
