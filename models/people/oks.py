"""How alike two sets of people are: by their joints (OKS) and by their boxes (IoU). Pure.

Object keypoint similarity is COCO's measure (https://cocodataset.org/#keypoints-eval): a joint that is d away counts
exp(-d² / (2 s² k²)), where s² is the person's area and k = 2 sigma says how exactly people agree on that joint.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BY_PART = {
    # COCO's own, by joint without its side
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
    # joints that COCO does not have, by the joint that is most like them
    "head": 0.035,
    "face": 0.035,
    "neck": 0.079,
}
_ANY_OTHER = 0.089
"""Of a joint that is in no table: as exact as an ankle."""


def sigmas(joints: tuple[str, ...]) -> Floats:
    """(J,) OKS sigma of each joint, by its name: `left_hip`, `nose`."""
    parts = (name.removeprefix("left_").removeprefix("right_") for name in joints)
    return np.array([_BY_PART.get(part, _ANY_OTHER) for part in parts])


def oks(one: Floats, other: Floats, variance: Floats, spread: Floats | float = 0.0) -> Floats:
    """(A, B): the similarity of each person of `one` (A, J, 3) with each of `other` (B, J, 3), 0 to 1.

    variance: (A, B, J) in px²: (s k)² of the pair's joint. spread: px², added to it, broadcast to (A, B, 1): how far
    the person may have moved on the way.

    Each joint weighs as much as the less sure side is of it. Where both sides have no joint in common it is 0.
    """
    weights = np.minimum(one[:, None, :, 2], other[None, :, :, 2])
    apart = one[:, None, :, :2] - other[None, :, :, :2]
    squares = np.einsum("abjk,abjk->abj", apart, apart)
    alike = np.exp(-squares / (2 * (variance + spread)))
    total = weights.sum(2)
    similarity: Floats = np.einsum("abj,abj->ab", alike, weights) / np.maximum(total, 1e-9)
    return similarity


def iou(one: Floats, other: Floats) -> Floats:
    """(A, B): intersection over union of boxes (A, 4) and (B, 4), left top right bottom; 0 where both are empty."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(2)
    union = area(one)[:, None] + area(other)[None] - shared
    overlap: Floats = shared / np.maximum(union, 1e-9)
    return overlap


def area(boxes: Floats) -> Floats:
    """(A,) px² of boxes (A, 4)."""
    sides: Floats = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]
