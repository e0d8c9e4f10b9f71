"""Of people who were found twice, the surer one stays. Pure.

A weak second person on a body that was found already would begin a track of its own, and alarms of its own. Two people
are one where their joints agree (OKS), or where their boxes agree and many of their joints: people who hug have boxes
alike, but not joints.
"""

from __future__ import annotations

import numpy as np

from inkling.models.people.detections import Detections
from inkling.models.people.oks import iou, oks, sigmas

SAME_JOINTS = 0.5
"""OKS from which two people are one. Those of two people who fight in each other's arms stay below .2."""
SAME_BOX, LIKE_JOINTS = 0.7, 0.3
"""IoU from which an OKS of that much is enough."""


def one_of_each(found: Detections, joints: tuple[str, ...], most: int) -> Detections:
    """The surest first, without those who are somebody surer once more, at most `most`. joints: names of the joints.

    Twice as many are compared, and no more, for each is compared with each: a graph may answer with thousands of rows.
    """
    found = found.take(np.argsort(-found.scores, kind="stable")[: 2 * most])
    if len(found) < 2:
        return found.take(np.arange(len(found))[:most])
    boxes, keypoints = found.boxes.astype(np.float64), found.keypoints.astype(np.float64)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    area = sides.prod(1)
    variance = np.maximum(area[:, None], area)[..., None] * (2 * sigmas(joints)) ** 2
    alike = oks(keypoints, keypoints, variance)
    same = (alike >= SAME_JOINTS) | ((iou(boxes, boxes) >= SAME_BOX) & (alike >= LIKE_JOINTS))
    kept: list[int] = []
    for person in range(len(found)):
        if len(kept) == most:
            break
        if not same[person, kept].any():
            kept.append(person)
    return found.take(np.array(kept, np.intp))
