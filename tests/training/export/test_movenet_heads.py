"""A small graph in TensorFlow.js' files, with every operator that MoveNet has, becomes the ONNX of the same numbers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as f

from inkling.training.errors import ExportError
from inkling.training.export.movenet_heads import HEADS, convert, main
from tests.support import OrtGraph

WITHIN = "StatefulPartitionedCall/"
WIDE = 6
Floats = NDArray[np.float32]


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


class Published:
    """What is published: nodes, and weights of which the large ones are float16."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(0)
        self.nodes: list[dict[str, Any]] = []
        self.values: dict[str, NDArray[Any]] = {}

    def weight(self, name: str, *shape: int, scale: float = 0.3) -> Floats:
        half = (self.rng.normal(size=shape) * scale).astype(np.float16)
        self.values[name] = half
        self.nodes.append({"name": name, "op": "Const"})
        return half.astype(np.float32)

    def node(self, name: str, op: str, *inputs: str, **attributes: Any) -> None:
        self.nodes.append({"name": name, "op": op, "input": list(inputs), "attr": attributes})

    def convolution(self, name: str, op: str, *inputs: str, stride: int, padding: str, fused: tuple[str, ...]) -> None:
        attributes = {
            "strides": {"list": {"i": ["1", str(stride), str(stride), "1"]}},
            "padding": {"s": text(padding)},
            "fused_ops": {"list": {"s": [text(each) for each in fused]} if fused else {}},
        }
        self.node(name, op, *inputs, **attributes)

    def write(self, folder: Path) -> Path:
        entries, data = [], b""
        for name, value in self.values.items():
            entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": "float32"}
            if value.dtype == np.float16:
                entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            entries.append(entry)
            data += value.tobytes()
        (folder / "weights.bin").write_bytes(data)
        model = {
            "modelTopology": {"node": self.nodes},
            "weightsManifest": [{"paths": ["weights.bin"], "weights": entries}],
        }
        (folder / "model.json").write_text(json.dumps(model))
        return folder / "model.json"


def published(pictures: NDArray[np.uint8]) -> tuple[Published, dict[str, Floats]]:
    """A graph, and what its heads are for pictures (B, H, W, 3), by torch."""
    made = Published()
    made.node("input", "Placeholder")
    made.node("cast", "Cast", "input:0")
    made.values["scale"] = np.float32(0.01) * np.ones((), np.float32)
    mean = made.weight("mean", 3)
    made.node("centred", "Sub", "cast", "mean")
    made.node("scaled", "Mul", "centred", "scale")
    x = (torch.tensor(pictures).permute(0, 3, 1, 2).float() - torch.tensor(mean)[:, None, None]) * 0.01

    kernel, bias = made.weight("k1", 3, 3, 3, WIDE), made.weight("b1", WIDE)
    made.convolution("c1", "_FusedConv2D", "scaled", "k1", "b1", stride=2, padding="SAME", fused=("BiasAdd", "Relu6"))
    x = f.conv2d(f.pad(x, (0, 1, 0, 1)), torch.tensor(kernel).permute(3, 2, 0, 1), torch.tensor(bias), 2).clamp(0, 6)

    depth, bias = made.weight("k2", 3, 3, WIDE, 1), made.weight("b2", WIDE)
    made.convolution(
        "c2", "FusedDepthwiseConv2dNative", "c1", "k2", "b2", stride=2, padding="SAME", fused=("BiasAdd", "Relu6")
    )
    weight = torch.tensor(depth).permute(2, 3, 0, 1)
    y = f.conv2d(f.pad(x, (0, 1, 0, 1)), weight, torch.tensor(bias), 2, groups=WIDE).clamp(0, 6)

    depth = made.weight("k3", 3, 3, WIDE, 1)
    made.convolution("c3", "DepthwiseConv2dNative", "c1", "k3", stride=1, padding="SAME", fused=())
    z = f.conv2d(x, torch.tensor(depth).permute(2, 3, 0, 1), padding=1, groups=WIDE)

    made.node("up", "ResizeBilinear", "c2", "size")
    made.node("sum", "AddV2", "up", "c3")
    y = f.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False) + z
    expected = {}
    for name, (path, channels) in HEADS.items():
        kernel, bias = made.weight(f"k-{name}", 1, 1, WIDE, channels), made.weight(f"b-{name}", channels)
        made.convolution(
            WITHIN + path, "_FusedConv2D", "sum", f"k-{name}", f"b-{name}", stride=1, padding="VALID",
            fused=("BiasAdd", "Relu") if name == "box_scale" else ("BiasAdd",),
        )  # fmt: skip
        head = f.conv2d(y, torch.tensor(kernel).permute(3, 2, 0, 1), torch.tensor(bias))
        expected[name] = (head.relu() if name == "box_scale" else head).numpy()
    return made, expected


@pytest.mark.parametrize("size", [(1, 16, 16), (3, 32, 16)])
def test_any_batch_and_size_gives_what_the_published_operators_give(size: tuple[int, int, int], tmp_path: Path) -> None:
    pictures = np.random.default_rng(1).integers(0, 256, (*size, 3)).astype(np.uint8)
    made, expected = published(pictures)
    model = convert(made.write(tmp_path))
    found = OrtGraph(model).run({"image": pictures})
    assert set(found) == set(HEADS)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, atol=1e-4)
        assert np.abs(array).max() > 0.1


def test_the_command_writes_the_file(tmp_path: Path) -> None:
    made, _ = published(np.zeros((1, 16, 16, 3), np.uint8))
    source, out = made.write(tmp_path), tmp_path / "heads.onnx"
    assert main([str(source), str(out)]) == 0
    assert out.read_bytes() == convert(source)
    assert main([]) == 2


def test_another_model_is_refused_with_what_is_strange(tmp_path: Path) -> None:
    made, _ = published(np.zeros((1, 16, 16, 3), np.uint8))
    made.nodes = [node for node in made.nodes if "heatmap" not in node["name"]]
    with pytest.raises(ExportError, match="it has no 'StatefulPartitionedCall/kpt_heatmap_0"):
        convert(made.write(tmp_path))
    made, _ = published(np.zeros((1, 16, 16, 3), np.uint8))
    next(node for node in made.nodes if node["name"] == "up")["op"] = "Softmax"
    with pytest.raises(ExportError, match="another model than MoveNet MultiPose: Softmax"):
        convert(made.write(tmp_path))


def test_weights_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    made, _ = published(np.zeros((1, 16, 16, 3), np.uint8))
    source = made.write(tmp_path)
    weights = tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes() + b"more")
    with pytest.raises(ExportError, match="the weights take"):
        convert(source)
    weights.write_bytes(weights.read_bytes()[:-90])
    with pytest.raises(ExportError, match="with its weights"):
        convert(source)
    with pytest.raises(ExportError, match=r"model\.jsn"):
        convert(tmp_path / "model.jsn")
