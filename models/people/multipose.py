"""From the heads of a centre-net pose estimator to people: what MoveNet MultiPose does after its convolutions. Pure.

Each cell of the maps covers `stride` pixels of the input. A person is a peak of `center`. From there `box_scale` and
`box_offset` give the box, and `regress` a first guess of each joint. The joint itself is the cell inside the box where
`heatmap`, weighted by a bell curve around that guess, is highest; `offset` says where in the cell. For any number of
people, each of whom has a claim of their own to a joint (the published graph stops at six, and lends scores between
people who overlap).

MoveNet: https://storage.googleapis.com/movenet/MoveNet.MultiPose%20Model%20Card.pdf; the idea is that of Zhou et al.,
Objects as Points, 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inkling.models.people.detections import Detections

Map = NDArray[np.float32]

PEAK_CELLS = 5
"""A peak is higher than the cells of a square of this side around it."""
BELL = 0.300048828125
"""Width of the bell curve, as a share of the map's shorter side."""
COUNTED = 0.126953125
"""Joints above this confidence count in a person's score."""


@dataclass(frozen=True, slots=True)
class Heads:
    """The maps of one picture, before any sigmoid, (channels, rows, columns) float32.

    center: (1, R, C). heatmap: (J, R, C). regress, offset: (2 J, R, C), y before x of each joint. box_scale,
    box_offset: (2, R, C), y before x. All but `center` and `heatmap` in cells.
    """

    center: Map
    heatmap: Map
    regress: Map
    offset: Map
    box_scale: Map
    box_offset: Map


def decode(heads: Heads, stride: int, most: int, least: float) -> Detections:
    """The people of one picture in pixels of the input, the highest peaks first, at most `most` of them.

    least: peaks below this probability are nobody; a person's score is the peak's times their joints'.
    """
    joints, rows, columns = heads.heatmap.shape
    peaks = _peaks(heads.center[0], most, least)
    if not len(peaks):
        return Detections.empty(joints)
    boxes = _boxes(heads, peaks)
    guesses = heads.regress.reshape(joints, 2, -1)[:, :, peaks].transpose(2, 0, 1)  # (N, J, 2) y x
    guesses = guesses + np.stack(np.divmod(peaks, columns), -1)[:, None].astype(np.float32)
    cells, confidence = _joints(_sigmoid(heads.heatmap), guesses, boxes)
    of_joint = np.arange(joints)
    shifts = heads.offset.reshape(joints, 2, rows, columns)[of_joint, :, cells[..., 0], cells[..., 1]]
    points = (cells + shifts)[..., ::-1] * stride
    counted = confidence > COUNTED
    means = (confidence * counted).sum(1) / np.maximum(counted.sum(1), 1)
    scores = _sigmoid(heads.center[0].ravel()[peaks]) * means
    return Detections(
        np.ascontiguousarray(boxes[:, [1, 0, 3, 2]] * stride, np.float32),
        scores.astype(np.float32),
        np.concatenate([points, confidence[..., None]], -1, dtype=np.float32),
    )


def _peaks(center: Map, most: int, least: float) -> NDArray[np.intp]:
    """Flat indices of the highest peaks of a map (R, C), highest first."""
    square = np.ones((PEAK_CELLS, PEAK_CELLS), np.uint8)
    high = (center == cv2.dilate(center, square)) & (center >= np.log(least / (1 - least)))
    found = np.flatnonzero(high)
    return found[np.argsort(-center.ravel()[found], kind="stable")[:most]]


def _boxes(heads: Heads, peaks: NDArray[np.intp]) -> Map:
    """(N, 4) top, left, bottom, right in cells, inside the map."""
    rows, columns = heads.center.shape[1:]
    middle = heads.box_offset.reshape(2, -1)[:, peaks] + np.stack(np.divmod(peaks, columns))
    half = np.maximum(heads.box_scale.reshape(2, -1)[:, peaks], 0) / 2
    border = np.array([rows, columns])[:, None]
    return np.concatenate([np.clip(middle - half, 0, border), np.clip(middle + half, 0, border)]).T.astype(np.float32)


def _joints(heat: Map, guesses: Map, boxes: Map) -> tuple[NDArray[np.intp], Map]:
    """Each joint's cell (N, J, 2), row before column, and its confidence (N, J); 0 in a box without a cell.

    The bell curve is the product of one down the rows and one along the columns.
    """
    joints, rows, columns = heat.shape
    width = BELL * min(rows, columns)
    cells = np.zeros((len(boxes), joints, 2), np.intp)
    confidence = np.zeros((len(boxes), joints), np.float32)
    corners = np.ceil(boxes).astype(np.intp)
    for person, (top, left, bottom, right) in enumerate(corners):
        if top >= bottom or left >= right:
            continue
        down = np.exp(-((np.arange(top, bottom) - guesses[person, :, :1]) ** 2) / width).astype(np.float32)
        along = np.exp(-((np.arange(left, right) - guesses[person, :, 1:]) ** 2) / width).astype(np.float32)
        claim = heat[:, top:bottom, left:right] * down[:, :, None]
        claim *= along[:, None]
        claim = claim.reshape(joints, -1)
        best = claim.argmax(1)
        confidence[person] = claim[np.arange(joints), best]
        row, column = np.divmod(best, right - left)
        cells[person] = np.stack([row + top, column + left], -1)
    return cells, confidence


def _sigmoid(x: Map) -> Map:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)
