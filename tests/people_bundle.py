"""A small people bundle that really looks at pictures: it finds what is red, what is green and what is blue."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inkling.models import skeletons
from inkling.models.bundle import PeopleVector, write_people
from tests.support import OrtGraph

COCO17 = skeletons.get("coco17")
COLOURS = ((230, 20, 20), (20, 230, 20), (20, 20, 230))
"""RGB of the people that can be found: one each."""
SCORE, CONFIDENCE = 0.9, 0.8
PLACES = np.array(
    [
        *([0.5, 0.05], [0.6, 0.02], [0.4, 0.02], [0.7, 0.05], [0.3, 0.05], [0.9, 0.2], [0.1, 0.2], [1.0, 0.35]),
        *([0.0, 0.35], [1.0, 0.5], [0.0, 0.5], [0.7, 0.5], [0.3, 0.5], [0.7, 0.75], [0.3, 0.75], [0.7, 1.0]),
        [0.3, 1.0],
    ],
    np.float32,
)
"""(17, 2) of each joint in a person's box, x and y from 0 to 1."""

Box = tuple[int, int, int, int]


def picture(height: int, width: int, people: Mapping[int, Box]) -> NDArray[np.uint8]:
    """A grey picture (height, width, 3); people: index of `COLOURS` -> left, top, right, bottom."""
    image = np.full((height, width, 3), 90, np.uint8)
    for colour, (left, top, right, bottom) in people.items():
        image[top:bottom, left:right] = COLOURS[colour]
    return image


def graph(
    name: str = "colours",
    version: str = "1",
    opset: int = 20,
    side: tuple[int, int] | None = None,
    joints: int = len(PLACES),
) -> bytes:
    """An ONNX file of the contract `detections`. side: the only height and width that it takes; None: any.

    joints: so many of `PLACES`, the first of them.
    """
    constants = {
        "far": np.float32(100),
        "one": np.int64(1),
        "rows": np.array([2], np.int64),
        "columns": np.array([3], np.int64),
        "both": np.array([2, 3], np.int64),
        "places": PLACES[:joints],
        "score": np.float32(SCORE),
        "confidence": np.full((1, 1, joints, 1), CONFIDENCE, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Cast", ["image"], ["values"], to=TensorProto.FLOAT),
        node("Transpose", ["values"], ["planes"], perm=[0, 3, 1, 2]),
        node("Split", ["planes"], ["r", "g", "b"], axis=1, num_outputs=3),
        node("Max", ["g", "b"], ["not_r"]),
        node("Max", ["r", "b"], ["not_g"]),
        node("Max", ["r", "g"], ["not_b"]),
        node("Concat", ["not_r", "not_g", "not_b"], ["others"], axis=1),
        node("Sub", ["planes", "others"], ["more"]),
        node("Greater", ["more", "far"], ["mask"]),
        node("Cast", ["mask"], ["seen"], to=TensorProto.FLOAT),  # (B, 3, H, W)
        node("ReduceMax", ["seen", "rows"], ["across"], keepdims=0),
        node("ReduceMax", ["seen", "columns"], ["down"], keepdims=0),
        node("ReduceMax", ["seen", "both"], ["present"], keepdims=0),
        node("Mul", ["present", "score"], ["scores"]),
    ]
    for line, low, high in (("across", "left", "right"), ("down", "top", "bottom")):
        nodes += [
            node("ArgMax", [line], [f"{low}_i"], axis=2, keepdims=1),
            node("ArgMax", [line], [f"{high}_last"], axis=2, keepdims=1, select_last_index=1),
            node("Add", [f"{high}_last", "one"], [f"{high}_i"]),
        ]
    nodes += [
        node("Concat", ["left_i", "top_i"], ["low_i"], axis=2),
        node("Concat", ["right_i", "bottom_i"], ["high_i"], axis=2),
        node("Cast", ["low_i"], ["low"], to=TensorProto.FLOAT),
        node("Cast", ["high_i"], ["high"], to=TensorProto.FLOAT),
        node("Concat", ["low", "high"], ["boxes"], axis=2),
        node("Sub", ["high", "low"], ["size"]),
        node("Unsqueeze", ["size", "rows"], ["size_of_each"]),
        node("Unsqueeze", ["low", "rows"], ["low_of_each"]),
        node("Mul", ["size_of_each", "places"], ["inside"]),
        node("Add", ["inside", "low_of_each"], ["points"]),  # (B, 3, joints, 2)
        node("Unsqueeze", ["present", "both"], ["present_of_each"]),
        node("Mul", ["present_of_each", "confidence"], ["sure"]),
        node("Concat", ["points", "sure"], ["keypoints"], axis=3),
    ]
    sides = side or ("height", "width")
    made = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", *sides, 3])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", 3, 4]),
            helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["batch", 3, joints, 3]),
        ],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    helper.set_model_props(model, {"name": name, "version": version})
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def make_people_bundle(root: Path, name: str = "colours", version: str = "1", **spec: Any) -> Path:
    """Write the bundle of `graph` to `root/name/version`; returns that path. spec: further fields of bundle.json."""
    given = {"height": 96, "width": 128, "multiple_of": 32} | spec.pop("input", {})
    fixed = (given["height"], given["width"]) if given.get("fixed") else None
    skeleton = spec.pop("skeleton", COCO17)
    model = graph(name, version, side=fixed, joints=len(skeleton.joints))
    people = {0: (10, 8, 40, 60)}, {1: (60, 20, 90, 64), 2: (4, 2, 20, 30)}
    height, width = fixed or (64, 96)
    images = np.stack([picture(height, width, each) for each in people])
    fields: dict[str, Any] = {
        "name": name,
        "version": version,
        "skeleton": skeleton,
        "input": given,
        "decoder": {"kind": "detections"},
        "quality": {},
        "origin": {
            "weights": "none: a rule about colours", "data": (), "licences": (), "converted": "tests/people_bundle.py",
            "created": "2026-01-01", "libraries": {"onnx": onnx.__version__},
        },
        **spec,
    }  # fmt: skip
    vector = PeopleVector(images, OrtGraph(model).run({"image": images}))
    return write_people(root, fields, model, vector, f"# {name}\n\nA rule, for tests.\n", {"LICENSE-none.txt": b"none"})
