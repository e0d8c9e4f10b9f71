"""A people bundle for crowds: whatever is bright, in each cell of a grid of 20 x 10, is somebody."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inkling.models.bundle import PeopleVector, write_people
from tests.people_bundle import COCO17, PLACES
from tests.support import OrtGraph

COLUMNS, ROWS = 20, 10
WIDE, HIGH = 16, 24
"""Of a cell, in pixels."""
WIDTH, HEIGHT = COLUMNS * WIDE, ROWS * HIGH
CROWD = COLUMNS * ROWS


def crowd(cells: Collection[int] = range(CROWD), brightness: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """A picture (240, 320, 3) with somebody in each of these cells. brightness: (200,) of each; their score by 255."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for cell in cells:
        top, left = cell // COLUMNS * HIGH, cell % COLUMNS * WIDE
        image[top : top + HIGH, left : left + WIDE] = 230 if brightness is None else brightness[cell]
    return image


def graph(name: str) -> bytes:
    """An ONNX file of the contract `detections`, for pictures of one size."""
    corners = np.array([[c % COLUMNS * WIDE, c // COLUMNS * HIGH] for c in range(CROWD)], np.float32)
    inset = np.array([2, 2], np.float32)
    size = np.array([WIDE, HIGH], np.float32) - 2 * inset
    boxes = np.concatenate([corners + inset, corners + inset + size], 1)
    joints = (corners + inset)[:, None] + PLACES * size
    keypoints = np.concatenate([joints, np.full((CROWD, len(PLACES), 1), 0.8, np.float32)], 2)
    constants = {
        "boxes_of_all": boxes[None],
        "keypoints_of_all": keypoints[None].astype(np.float32),
        "channels": np.array([3], np.int64),
        "flat": np.array([0, CROWD], np.int64),
        "bright": np.float32(255),
        "of_boxes": np.array([CROWD, 4], np.int64),
        "of_keypoints": np.array([CROWD, len(PLACES), 3], np.int64),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        node("ReduceMean", ["values", "channels"], ["grey"], keepdims=1),
        node("Transpose", ["grey"], ["plane"], perm=[0, 3, 1, 2]),
        node("AveragePool", ["plane"], ["cells"], kernel_shape=[HIGH, WIDE], strides=[HIGH, WIDE]),
        node("Reshape", ["cells", "flat"], ["levels"]),
        node("Div", ["levels", "bright"], ["scores"]),
        node("Shape", ["image"], ["batch"], start=0, end=1),
        node("Concat", ["batch", "of_boxes"], ["shape_of_boxes"], axis=0),
        node("Expand", ["boxes_of_all", "shape_of_boxes"], ["boxes"]),
        node("Concat", ["batch", "of_keypoints"], ["shape_of_keypoints"], axis=0),
        node("Expand", ["keypoints_of_all", "shape_of_keypoints"], ["keypoints"]),
    ]
    made = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", HEIGHT, WIDTH, 3])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", CROWD]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", CROWD, 4]),
            helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["batch", CROWD, len(PLACES), 3]),
        ],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    helper.set_model_props(model, {"name": name, "version": "1"})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def make_crowd_bundle(root: Path, name: str = "crowds", **spec: Any) -> Path:
    """Write the bundle to `root/name/1`; returns that path. spec: further fields of bundle.json."""
    model = graph(name)
    images = np.stack([crowd(range(0, CROWD, 3)), crowd([7])])
    fields: dict[str, Any] = {
        "name": name,
        "version": "1",
        "skeleton": COCO17,
        "input": {"height": HEIGHT, "width": WIDTH, "multiple_of": 1, "fixed": True},
        "decoder": {"kind": "detections"},
        "quality": {},
        "origin": {
            "weights": "none: a rule about light", "data": (), "licences": (), "converted": "tests/crowd_bundle.py",
            "created": "2026-01-01", "libraries": {"onnx": onnx.__version__},
        },
        **spec,
    }  # fmt: skip
    vector = PeopleVector(images, OrtGraph(model).run({"image": images}))
    return write_people(root, fields, model, vector, f"# {name}\n\nA rule, for tests.\n", {"LICENSE-none.txt": b"none"})
