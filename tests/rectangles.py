"""People who are bright rectangles, red, green or blue, and a real graph of kind `detections` that finds them.

So that tests of cameras know where everybody is, and need no weights: the person of a colour is the smallest box
around all that is bright in it, and their score is how bright it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inkling.models.arrays import Array
from inkling.models.bundle import PeopleVector, write_people
from inkling.models.bundle.people import PeopleSpec
from inkling.models.people.estimator import PeopleEstimator
from inkling.models.skeletons import get
from inkling.service.engine.people_engine import PeopleEngine
from inkling.service.perception.people_model import PeopleModel

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""

RED, GREEN, BLUE = 0, 1, 2
BRIGHT = 110
"""Above which a pixel belongs to somebody; a JPEG's ringing beside one does not."""
JOINTS = np.stack(
    [np.linspace(0.1, 0.9, 17), np.linspace(0.05, 0.95, 17)[np.arange(17) * 5 % 17]], -1, dtype=np.float32
)
"""(17, 2): where in the box each joint is, x and y as shares of it."""


def room(
    people: Mapping[int, tuple[int, int, int, int]], height: int = 96, width: int = 128, light: int = 250
) -> Pixels:
    """A dark picture with people in it: colour -> left, top, right, bottom. light: how bright they are."""
    picture = np.zeros((height, width, 3), np.uint8)
    for colour, (left, top, right, bottom) in people.items():
        picture[top:bottom, left:right, colour] = light
    return picture


def rectangles_graph() -> bytes:
    """The graph: image (B, H, W, 3) uint8 -> scores (B, 3), boxes (B, 3, 4), keypoints (B, 3, 17, 3)."""
    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, value: Any, dtype: Any) -> str:
        constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    floats = node("Cast", ["image"], "floats", to=TensorProto.FLOAT)
    bright = node("Cast", [node("Greater", [floats, constant("limit", BRIGHT, np.float32)], "is")], "bright", to=1)
    edges = {}
    for name, axis in (("y", 2), ("x", 1)):
        line = node("ReduceMax", [bright, constant(f"axis_{name}", [axis], np.int64)], f"line_{name}", keepdims=0)
        first = node("ArgMax", [line], f"first_{name}", axis=1, keepdims=0)
        last = node("ArgMax", [line], f"last_{name}", axis=1, keepdims=0, select_last_index=1)
        low = node("Cast", [first], f"low_{name}", to=1)
        end = node(
            "Add", [node("Cast", [last], f"at_{name}", to=1), constant(f"one_{name}", 1, np.float32)], f"end_{name}"
        )
        last_axis = constant(f"last_axis_{name}", [-1], np.int64)
        edges[name] = tuple(
            node("Unsqueeze", [edge, last_axis], f"{edge}_column") for edge in (low, end)
        )  # (B, 3, 1) each
    light = node("Mul", [floats, bright], "light")
    most = node("ReduceMax", [light, constant("picture_axes", [1, 2], np.int64)], "most", keepdims=0)
    node("Div", [most, constant("white", 255, np.float32)], "scores")
    node("Concat", [edges["x"][0], edges["y"][0], edges["x"][1], edges["y"][1]], "boxes", axis=-1)
    joint_axis = constant("joint_axis", [2], np.int64)
    low = node("Unsqueeze", [node("Concat", [edges["x"][0], edges["y"][0]], "low", axis=-1), joint_axis], "low_joint")
    end = node("Unsqueeze", [node("Concat", [edges["x"][1], edges["y"][1]], "end", axis=-1), joint_axis], "end_joint")
    spans = node("Mul", [node("Sub", [end, low], "size"), constant("joints", JOINTS, np.float32)], "spans")
    places = node("Add", [low, spans], "places")  # (B, 3, 17, 2)
    score_axes = constant("score_axes", [2, 3], np.int64)
    each = constant("each", [1, 1, 17, 1], np.int64)
    node("Expand", [node("Unsqueeze", ["scores", score_axes], "sure"), each], "sure_joints")
    node("Concat", [places, "sure_joints"], "keypoints", axis=-1)
    graph = helper.make_graph(
        nodes,
        "rectangles",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", "height", "width", 3])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 3]),
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["batch", 3, 4]),
            helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["batch", 3, 17, 3]),
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"name": "rectangles", "version": "1"})
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def rectangles_spec(**changes: Any) -> PeopleSpec:
    """What is in the `bundle.json` of the graph."""
    fields: dict[str, Any] = {
        "schema_version": 2,
        "kind": "people",
        "name": "rectangles",
        "version": "1",
        "skeleton": get("coco17"),
        "input": {"height": 96, "width": 128, "multiple_of": 32},
        "decoder": {"kind": "detections"},
        "max_people": 3,
        "opset": 18,
        "quality": {},
        "origin": {
            "weights": "none", "data": [], "licences": [], "converted": "written by hand", "created": "2026-01-01",
            "libraries": {},
        },
        "files": dict.fromkeys(("people.onnx", "vector.npz", "card.md"), "0" * 64),
    }  # fmt: skip
    return PeopleSpec.model_validate(fields | changes)


class Rectangles:
    """Runs the graph, with faults on request, and remembers the sizes of its batches."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(rectangles_graph(), options, ["CPUExecutionProvider"])
        self.failing = False
        self.batches: list[int] = []

    def __call__(self, pictures: NDArray[np.uint8]) -> dict[str, Array]:
        if self.failing:
            raise RuntimeError("a fault on request")
        self.batches.append(len(pictures))
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(names, {"image": pictures}), strict=True))


def rectangles_model(run: Rectangles | None = None, **changes: Any) -> PeopleModel:
    """The estimator of such people, as the service has it."""
    spec = rectangles_spec(**changes)
    return PeopleModel(spec, PeopleEstimator(spec, run or Rectangles()))


def joints_of(box: Box) -> NDArray[np.float32]:
    """(17, 2) where the joints of somebody are who is `left, top, right, bottom` of a picture."""
    low, end = np.array(box[:2], np.float32), np.array(box[2:], np.float32)
    return np.asarray(low + JOINTS * (end - low), np.float32)


def make_rectangles(root: Path, **changes: Any) -> Path:
    """Write the bundle `rectangles/1` below `root`, verified; its path."""
    spec = rectangles_spec(**changes).model_dump(exclude={"schema_version", "kind", "opset", "files"})
    images = np.stack([room({RED: (8, 10, 40, 90)}), room({GREEN: (50, 20, 90, 80), BLUE: (4, 4, 30, 60)})])
    vector = PeopleVector(images, dict(Rectangles()(images)))
    return write_people(root, spec, rectangles_graph(), vector, "# rectangles\n", {}, verify=PeopleEngine)
