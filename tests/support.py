"""What many tests share: a small real bundle, a plain onnxruntime graph, and strictness on the build machine."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inkling.models.arrays import Array
from inkling.models.bundle import TensorInfo, TestVector, write
from inkling.models.bundle.schema import SPEC_FILE, FrameInput, PoseInput, StateTensor
from inkling.models.resize import FitPolicy
from inkling.models.skeletons import BODY13, Skeleton
from inkling.training.export.row_graph import rows_onnx

Floats = NDArray[np.float32]

CHECKOUT = Path(__file__).resolve().parent.parent
HIDDEN = 8
HIDDEN_AT_START = 0.5
"""Not zero, so that a state which starts as zeros is noticed."""


def skip_unless(condition: bool, reason: str) -> None:
    """Skip the running test unless `condition`; on the build machine (INKLING_CI) fail instead."""
    if condition:
        return
    if os.environ.get("INKLING_CI"):
        pytest.fail(f"this must not be skipped on the build machine: {reason}")
    pytest.skip(reason)


def copy_checkout(folder: Path) -> Path:
    """Copy what packages are made of into `folder`, links as links, without what is built or hidden.

    setuptools leaves a folder `build` where it works, and would put files of it that are gone by now into later wheels.
    """
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(CHECKOUT / name, folder)
    for name in ("src", "models", "service", "training"):
        shutil.copytree(CHECKOUT / name, folder / name, symlinks=True, ignore=ignored)
    return folder


@dataclass(frozen=True, slots=True, eq=False)
class TinyReference:
    """The model of `make_bundle` in numpy: a recurrent cell on the pose and its change since the step before.

    State: `h` (B, HIDDEN), `previous` (B, J, C). The same labels, joints and seed give the same weights.
    """

    labels: tuple[str, ...] = ("a", "b", "c")
    joints: int = 13
    channels: int = 3
    seed: int = 0
    weights: dict[str, Floats] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        size, classes = self.joints * self.channels, len(self.labels)
        shapes = {
            "w_pose": (size, HIDDEN),
            "w_change": (size, HIDDEN),
            "w_h": (HIDDEN, HIDDEN),
            "w_out": (HIDDEN, classes),
        }
        scales = {"w_pose": 0.3, "w_change": 0.3, "w_h": 0.4, "w_out": 1.5}
        weights = {name: (rng.normal(size=shape) * scales[name]).astype(np.float32) for name, shape in shapes.items()}
        weights["scale"] = np.float32(0.005) * np.ones(1, np.float32)  # pixels to units that tanh does not flatten
        object.__setattr__(self, "weights", weights)

    def initial(self, batch: int) -> dict[str, Floats]:
        return {
            "h": np.full((batch, HIDDEN), HIDDEN_AT_START, np.float32),
            "previous": np.zeros((batch, self.joints, self.channels), np.float32),
        }

    def step(self, x: Floats, state: Mapping[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
        """x (B, J, C) -> logits (B, K), next state under the names of the state's inputs."""
        w, batch = self.weights, len(x)
        pose = np.tanh(x.reshape(batch, -1) * w["scale"])
        change = np.tanh((x - state["previous"]).reshape(batch, -1) * w["scale"])
        h = np.tanh(pose @ w["w_pose"] + change @ w["w_change"] + state["h"] @ w["w_h"])
        return h @ w["w_out"], {"h": h, "previous": x}

    def run(self, inputs: Floats) -> Floats:
        """inputs (S, B, J, C) -> logits (S, B, K), from the initial state."""
        state, logits = self.initial(inputs.shape[1]), []
        for x in inputs:
            out, state = self.step(x, state)
            logits.append(out)
        return np.stack(logits)

    @property
    def state_tensors(self) -> tuple[StateTensor, ...]:
        return (
            StateTensor(input="h", output="h_next", shape=(HIDDEN,), initial=HIDDEN_AT_START),
            StateTensor(input="previous", output="previous_next", shape=(self.joints, self.channels)),
        )

    def onnx(self, name: str, version: str, opset: int = 20) -> bytes:
        """The same as an ONNX file. Its outputs are in another order than its inputs: only names pair them."""

        def tensor(name: str, *shape: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])

        nodes = [
            helper.make_node("Sub", ["pose", "previous"], ["moved"]),
            helper.make_node("Identity", ["pose"], ["previous_next"]),
        ]
        for source, weight in (("pose", "w_pose"), ("moved", "w_change")):
            nodes += [
                helper.make_node("Flatten", [source], [f"{source}_flat"], axis=1),
                helper.make_node("Mul", [f"{source}_flat", "scale"], [f"{source}_scaled"]),
                helper.make_node("Tanh", [f"{source}_scaled"], [f"{source}_bound"]),
                helper.make_node("MatMul", [f"{source}_bound", weight], [f"{source}_part"]),
            ]
        nodes += [
            helper.make_node("MatMul", ["h", "w_h"], ["h_part"]),
            helper.make_node("Sum", ["pose_part", "moved_part", "h_part"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["h_next"]),
            helper.make_node("MatMul", ["h_next", "w_out"], ["logits"]),
        ]
        body = (self.joints, self.channels)
        graph = helper.make_graph(
            nodes,
            "tiny",
            [tensor("pose", *body), tensor("h", HIDDEN), tensor("previous", *body)],
            [tensor("previous_next", *body), tensor("logits", len(self.labels)), tensor("h_next", HIDDEN)],
            [numpy_helper.from_array(array, key) for key, array in self.weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
        helper.set_model_props(model, {"name": name, "version": version})
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


@dataclass(frozen=True, slots=True, eq=False)
class TinyFrameReference:
    """The model of `make_frame_bundle` in numpy: a recurrent cell on a projection of the image and on its change.

    State: `h` (B, HIDDEN), `previous` (B, HIDDEN), the projection of the step before.
    """

    labels: tuple[str, ...] = ("a", "b", "c")
    height: int = 24
    width: int = 32
    seed: int = 0
    weights: dict[str, Floats] = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        pixels = self.height * self.width * 3
        shapes = {"w_image": (pixels, HIDDEN), "w_h": (HIDDEN, HIDDEN), "w_out": (HIDDEN, len(self.labels))}
        scales = {"w_image": 0.12, "w_h": 0.4, "w_out": 1.5}
        weights = {name: (rng.normal(size=shape) * scales[name]).astype(np.float32) for name, shape in shapes.items()}
        weights["middle"] = np.array([127.5], np.float32)
        weights["scale"] = np.array([1 / 127.5], np.float32)
        object.__setattr__(self, "weights", weights)

    def initial(self, batch: int) -> dict[str, Floats]:
        return {
            "h": np.full((batch, HIDDEN), HIDDEN_AT_START, np.float32),
            "previous": np.zeros((batch, HIDDEN), np.float32),
        }

    def step(self, x: NDArray[np.uint8], state: Mapping[str, Floats]) -> tuple[Floats, dict[str, Floats]]:
        """x (B, height, width, 3) -> logits (B, K), next state under the names of the state's inputs."""
        w = self.weights
        seen = ((x.astype(np.float32) - w["middle"]) * w["scale"]).reshape(len(x), -1) @ w["w_image"]
        h = np.tanh(seen + (seen - state["previous"]) + state["h"] @ w["w_h"])
        return h @ w["w_out"], {"h": h, "previous": seen}

    def run(self, inputs: NDArray[np.uint8]) -> Floats:
        """inputs (S, B, height, width, 3) -> logits (S, B, K), from the initial state."""
        state, logits = self.initial(inputs.shape[1]), []
        for x in inputs:
            out, state = self.step(x, state)
            logits.append(out)
        return np.stack(logits)

    def probabilities(self, inputs: NDArray[np.uint8]) -> Floats:
        """inputs (S, height, width, 3) of one stream -> softmax (S, K)."""
        logits = self.run(inputs[:, np.newaxis])[:, 0]
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Floats = powers / powers.sum(axis=1, keepdims=True)
        return shares

    @property
    def state_tensors(self) -> tuple[StateTensor, ...]:
        return (
            StateTensor(input="h", output="h_next", shape=(HIDDEN,), initial=HIDDEN_AT_START),
            StateTensor(input="previous", output="previous_next", shape=(HIDDEN,)),
        )

    def onnx(self, name: str, version: str) -> bytes:
        """The same as an ONNX file; normalisation is inside the graph."""

        def tensor(name: str, kind: int, *shape: int) -> onnx.ValueInfoProto:
            return helper.make_tensor_value_info(name, kind, ["batch", *shape])

        image, state = (self.height, self.width, 3), TensorProto.FLOAT
        nodes = [
            helper.make_node("Cast", ["frame"], ["grey"], to=TensorProto.FLOAT),
            helper.make_node("Sub", ["grey", "middle"], ["centred"]),
            helper.make_node("Mul", ["centred", "scale"], ["scaled"]),
            helper.make_node("Flatten", ["scaled"], ["flat"], axis=1),
            helper.make_node("MatMul", ["flat", "w_image"], ["previous_next"]),
            helper.make_node("Sub", ["previous_next", "previous"], ["change"]),
            helper.make_node("MatMul", ["h", "w_h"], ["h_part"]),
            helper.make_node("Sum", ["previous_next", "change", "h_part"], ["sum"]),
            helper.make_node("Tanh", ["sum"], ["h_next"]),
            helper.make_node("MatMul", ["h_next", "w_out"], ["logits"]),
        ]
        graph = helper.make_graph(
            nodes,
            "tiny-frames",
            [
                tensor("frame", TensorProto.UINT8, *image),
                tensor("previous", state, HIDDEN),
                tensor("h", state, HIDDEN),
            ],
            [
                tensor("logits", state, len(self.labels)),
                tensor("h_next", state, HIDDEN),
                tensor("previous_next", state, HIDDEN),
            ],
            [numpy_helper.from_array(array, key) for key, array in self.weights.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        helper.set_model_props(model, {"name": name, "version": version})
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def make_bundle(
    root: Path,
    name: str = "tiny",
    version: str = "1",
    labels: tuple[str, ...] = ("a", "b", "c"),
    joints: int = 13,
    rate_hz: float = 15.0,
    *,
    skeleton: Skeleton | None = None,
    seed: int = 0,
    opset: int = 20,
    rows: bool = True,
    **spec: Any,
) -> Path:
    """Write the bundle of `TinyReference(labels, joints, channels, seed)` to `root/name/version`; returns that path.

    13 joints are body13; any other number is a skeleton of its own named `stick<joints>`, 2D unless `skeleton` says
    otherwise. rows: with `rows.onnx`. `spec`: further fields of bundle.json, or other values for them.
    """
    if skeleton is None:
        stick = Skeleton(name=f"stick{joints}", joints=tuple(f"joint{i}" for i in range(joints)), root=(0,))
        skeleton = BODY13 if joints == len(BODY13.joints) else stick
    tiny = TinyReference(labels, len(skeleton.joints), skeleton.dimensions + 1, seed)
    inputs = poses(4, 2, skeleton, seed=seed + 1)
    fields: dict[str, Any] = {
        "name": name,
        "version": version,
        "task": "recognition",
        "labels": labels,
        "input": PoseInput(kind="pose", skeleton=skeleton),
        "rate_hz": rate_hz,
        "state": tiny.state_tensors,
        "quality": {},
        "provenance": {
            "data": ["none, random weights"], "recipe": "tests/support.py", "seed": seed,
            "git_commit": "", "created": "2025-01-01T00:00:00Z", "libraries": {"onnx": onnx.__version__},
        },
        **spec,
    }  # fmt: skip
    card = f"# {name}\n\nRandom weights, for tests.\n"
    step = tiny.onnx(name, version, opset)
    over_rows = rows_onnx(step, "logits", tiny.state_tensors) if rows else None
    return write(root, fields, step, TestVector(inputs, tiny.run(inputs)), card, over_rows)


def make_frame_bundle(
    root: Path,
    name: str = "tiny-frames",
    version: str = "1",
    labels: tuple[str, ...] = ("a", "b", "c"),
    height: int = 24,
    width: int = 32,
    rate_hz: float = 15.0,
    *,
    fit: FitPolicy = "letterbox",
    seed: int = 0,
    rows: bool = True,
    **spec: Any,
) -> Path:
    """Write the bundle of `TinyFrameReference(labels, height, width, seed)` to `root/name/version`; returns that path.

    It takes images, uint8. rows: with `rows.onnx`. `spec`: further fields of bundle.json, or other values for them.
    """
    tiny = TinyFrameReference(labels, height, width, seed)
    inputs = np.random.default_rng(seed + 1).integers(0, 256, (4, 2, height, width, 3)).astype(np.uint8)
    fields: dict[str, Any] = {
        "name": name,
        "version": version,
        "task": "recognition",
        "labels": labels,
        "input": FrameInput(kind="frame", height=height, width=width, fit=fit),
        "rate_hz": rate_hz,
        "state": tiny.state_tensors,
        "quality": {},
        "provenance": {
            "data": ["none, random weights"], "recipe": "tests/support.py", "seed": seed,
            "git_commit": "", "created": "2025-01-01T00:00:00Z", "libraries": {"onnx": onnx.__version__},
        },
        **spec,
    }  # fmt: skip
    card = f"# {name}\n\nRandom weights, for tests.\n"
    step = tiny.onnx(name, version)
    over_rows = rows_onnx(step, "logits", tiny.state_tensors) if rows else None
    return write(root, fields, step, TestVector(inputs, tiny.run(inputs)), card, over_rows)


def make_older_bundle(root: Path) -> Path:
    """Write the bundle of `make_bundle` as releases before schema 2 did; returns its path."""
    path = make_bundle(root, rows=False)
    edit_spec(path, schema_version=1, kind=None)
    return path


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth picture of random colours with a few edges: RGB (height, width, 3)."""
    rng = np.random.default_rng(seed)
    down, across = np.linspace(0, 1, height)[:, np.newaxis], np.linspace(0, 1, width)[np.newaxis]
    waves = [
        np.sin(2 * np.pi * (rng.uniform(0.3, 2) * down + rng.uniform(0.3, 2) * across + rng.uniform())) for _ in "rgb"
    ]
    image = (127.5 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)
    top, left = rng.integers(0, max(height // 2, 1)), rng.integers(0, max(width // 2, 1))
    image[top : top + height // 3, left : left + width // 4] = rng.integers(0, 256, 3)
    return image


def poses(steps: int, batch: int, skeleton: Skeleton = BODY13, seed: int = 0) -> Floats:
    """Random walks of bodies in a 640 x 480 picture (or metres x 100): (S, B, J, D + 1), some joints missing."""
    rng = np.random.default_rng(seed)
    shape = (steps, batch, len(skeleton.joints), skeleton.dimensions)
    walk = rng.uniform(100, 400, shape[1:]) + np.cumsum(rng.normal(0, 8, shape), axis=0)
    confidence = rng.uniform(0.3, 1, (*shape[:-1], 1)) * (rng.uniform(size=(*shape[:-1], 1)) > 0.1)
    return (np.concatenate([walk, confidence], axis=-1) * (confidence > 0)).astype(np.float32)


def edit_spec(bundle: Path, **changes: Any) -> None:
    """Change fields of a written bundle's `bundle.json` (a value of None removes one), unchecked."""
    path = bundle / SPEC_FILE
    fields = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in fields.items() if value is not None}))


def replace_file(bundle: Path, name: str, data: bytes) -> None:
    """Replace a file of a written bundle and correct its sha256, so that only the contents are wrong."""
    (bundle / name).write_bytes(data)
    files = json.loads((bundle / SPEC_FILE).read_text())["files"]
    edit_spec(bundle, files=files | {name: hashlib.sha256(data).hexdigest()})


class OrtGraph:
    """The shortest `inkling.models.bundle.StepGraph` over onnxruntime."""

    def __init__(self, step: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(step, options, providers=["CPUExecutionProvider"])
        self.inputs: Mapping[str, TensorInfo] = {arg.name: _info(arg) for arg in self._session.get_inputs()}
        self.outputs: Mapping[str, TensorInfo] = {arg.name: _info(arg) for arg in self._session.get_outputs()}

    def run(self, feeds: Mapping[str, Array], /) -> dict[str, Array]:
        names = list(self.outputs)
        return dict(zip(names, self._session.run(names, dict(feeds)), strict=True))


def _info(arg: Any) -> TensorInfo:
    dtype = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(uint8)": "uint8"}[arg.type]
    return dtype, tuple(size if isinstance(size, int) else None for size in arg.shape)
