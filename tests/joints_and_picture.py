"""A small real bundle that is given a person's joints and the picture that they are in, each by its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inkling.models.bundle import TestVector, write
from inkling.models.bundle.schema import FrameInput, PoseInput, StateTensor
from inkling.models.resize import FitPolicy
from inkling.models.skeletons import BODY13
from inkling.training.export.row_graph import rows_onnx
from tests.support import HIDDEN, HIDDEN_AT_START, Floats, poses


@dataclass(frozen=True, slots=True, eq=False)
class TinyBothReference:
    """The model of `make_both_bundle` in numpy: a recurrent cell on the pose and on a projection of the picture.

    State: `h` (B, HIDDEN).
    """

    labels: tuple[str, ...] = ("a", "b", "c")
    height: int = 24
    width: int = 32
    seed: int = 0
    weights: dict[str, Floats] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        shapes = {
            "w_pose": (39, HIDDEN),
            "w_frame": (self.height * self.width * 3, HIDDEN),
            "w_h": (HIDDEN, HIDDEN),
            "w_out": (HIDDEN, len(self.labels)),
        }
        scales = {"w_pose": 0.3, "w_frame": 0.05, "w_h": 0.4, "w_out": 1.5}
        weights = {name: (rng.normal(size=shape) * scales[name]).astype(np.float32) for name, shape in shapes.items()}
        weights |= {"pose_scale": np.full(1, 0.005, np.float32), "frame_scale": np.full(1, 1 / 128, np.float32)}
        object.__setattr__(self, "weights", weights)

    def step(self, pose: Floats, frame: NDArray[np.uint8], h: Floats) -> tuple[Floats, Floats]:
        """pose (B, 13, 3), frame (B, height, width, 3), h (B, HIDDEN) -> logits (B, K), next h."""
        w, batch = self.weights, len(pose)
        body = np.tanh(pose.reshape(batch, -1) * w["pose_scale"]) @ w["w_pose"]
        scene = (frame.reshape(batch, -1).astype(np.float32) * w["frame_scale"]) @ w["w_frame"]
        h = np.tanh(body + scene + h @ w["w_h"])
        return h @ w["w_out"], h

    def run(self, inputs: Mapping[str, Any]) -> Floats:
        """pose (S, B, 13, 3), frame (S, B, height, width, 3) -> logits (S, B, K), from the initial state."""
        h, logits = np.full((inputs["pose"].shape[1], HIDDEN), HIDDEN_AT_START, np.float32), []
        for pose, frame in zip(inputs["pose"], inputs["frame"], strict=True):
            out, h = self.step(pose, frame, h)
            logits.append(out)
        return np.stack(logits)

    @property
    def state_tensors(self) -> tuple[StateTensor, ...]:
        return (StateTensor(input="h", output="h_next", shape=(HIDDEN,), initial=HIDDEN_AT_START),)

    def onnx(self, name: str, version: str) -> bytes:
        """The same as an ONNX file; the picture comes first among its inputs, for only names pair them."""

        def tensor(name: str, kind: int, *shape: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, kind, ["batch", *shape])

        nodes = [
            helper.make_node("Cast", ["frame"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["pixels"], ["frame_flat"], axis=1),
            helper.make_node("Mul", ["frame_flat", "frame_scale"], ["frame_scaled"]),
            helper.make_node("MatMul", ["frame_scaled", "w_frame"], ["scene"]),
            helper.make_node("Flatten", ["pose"], ["pose_flat"], axis=1),
            helper.make_node("Mul", ["pose_flat", "pose_scale"], ["pose_scaled"]),
            helper.make_node("Tanh", ["pose_scaled"], ["pose_bound"]),
            helper.make_node("MatMul", ["pose_bound", "w_pose"], ["body"]),
            helper.make_node("MatMul", ["h", "w_h"], ["h_part"]),
            helper.make_node("Sum", ["body", "scene", "h_part"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["h_next"]),
            helper.make_node("MatMul", ["h_next", "w_out"], ["logits"]),
        ]
        given = [
            tensor("frame", TensorProto.UINT8, self.height, self.width, 3),
            tensor("h", TensorProto.FLOAT, HIDDEN),
            tensor("pose", TensorProto.FLOAT, 13, 3),
        ]
        answers = [tensor("logits", TensorProto.FLOAT, len(self.labels)), tensor("h_next", TensorProto.FLOAT, HIDDEN)]
        weights = [numpy_helper.from_array(array, key) for key, array in self.weights.items()]
        graph = helper.make_graph(nodes, "tiny-both", given, answers, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        helper.set_model_props(model, {"name": name, "version": version})
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def rough_inputs(tiny: TinyBothReference, steps: int, batch: int, seed: int = 1) -> dict[str, Any]:
    """Random poses and pictures for a run of `tiny`."""
    shape = (steps, batch, tiny.height, tiny.width, 3)
    frames = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    return {"pose": poses(steps, batch, seed=seed), "frame": frames}


def make_both_bundle(
    root: Path,
    name: str = "tiny-both",
    version: str = "1",
    *,
    height: int = 24,
    width: int = 32,
    fit: FitPolicy = "letterbox",
    rows: bool = True,
    **spec: Any,
) -> Path:
    """Write the bundle of `TinyBothReference(height, width)` to `root/name/version`; returns that path.

    rows: with `rows.onnx`. spec: further fields of bundle.json, or other values for them.
    """
    tiny = TinyBothReference(height=height, width=width)
    inputs = rough_inputs(tiny, 4, 2)
    fields: dict[str, Any] = {
        "name": name,
        "version": version,
        "task": "recognition",
        "labels": tiny.labels,
        "input": PoseInput(kind="pose", skeleton=BODY13),
        "further_inputs": [FrameInput(kind="frame", height=height, width=width, fit=fit)],
        "rate_hz": 15.0,
        "state": tiny.state_tensors,
        "quality": {},
        "provenance": {
            "data": ["none, random weights"], "recipe": "tests/joints_and_picture.py", "seed": 0,
            "git_commit": "", "created": "2025-01-01T00:00:00Z", "libraries": {"onnx": onnx.__version__},
        },
        **spec,
    }  # fmt: skip
    step = tiny.onnx(name, version)
    over_rows = rows_onnx(step, "logits", tiny.state_tensors) if rows else None
    vector = TestVector(inputs["pose"], tiny.run(inputs), {"frame": inputs["frame"]})
    return write(root, fields, step, vector, f"# {name}\n\nRandom weights, for tests.\n", over_rows)
