"""People found in one picture. Pure."""

from __future__ import annotations

from dataclasses import dataclass

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
    """(N, J, 3): x, y, confidence of each joint."""
